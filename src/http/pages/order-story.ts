import { html } from 'ghtml'
import type { VerdictCode, VerdictOutcome } from '../../explain/answer.ts'
import { describeMissing, type Story } from '../../explain/story.ts'
import type { StoryEvent } from '../../explain/time-line.ts'
import type { Verdict } from '../../explain/verdict.ts'
import { instantOf } from '../../order/set-aside.ts'
import { howLate, relativeTime } from '../../runtime/human-numbers.ts'
import { page } from './page.ts'
import { linkTo, type Site } from './site.ts'
import { STORY_STYLE } from './story-style.ts'

/** The script that adds local times to the UTC ones. */
export const LOCAL_TIMES_PATH = '/script/local-times.js'

/** How each outcome looks: never by colour alone. */
const LOOKS: Record<VerdictOutcome, { look: 'plain' | 'good' | 'warn' | 'bad'; sign: string; label: string }> = {
  cancelled: { look: 'plain', sign: '✕', label: 'Cancelled' },
  kept: { look: 'good', sign: '✓', label: 'Not cancelled' },
  waiting: { look: 'plain', sign: '…', label: 'Waiting' },
  overdue: { look: 'bad', sign: '!', label: 'Overdue' },
  'given-up': { look: 'bad', sign: '!', label: 'Given up' },
  'set-aside': { look: 'warn', sign: '!', label: 'Set aside' },
  missing: { look: 'warn', sign: '?', label: 'Not in the order store' },
  unknown: { look: 'warn', sign: '?', label: 'Unknown' },
}

/** What it is, where that is more than not being cancelled, or less. */
const LABELS: Partial<Record<VerdictCode, string>> = {
  PAID: 'Paid',
  PAID_LATE: 'Paid',
  NO_LONGER_UNPAID: 'No longer unpaid',
  WITHDRAWN: 'Withdrawn',
}

/** Events that decide, and events that need somebody. */
const DECIDING = new Set<StoryEvent['code']>(['CHECK_DECIDED', 'SWEEP_DECIDED', 'CANCELLED', 'PAID'])
const TROUBLING = new Set<StoryEvent['code']>(['CHECK_GIVEN_UP', 'CHECK_RETRIED', 'CHECK_UNREADABLE', 'SWEEP_LEFT'])

/** Asks for the id of an order. */
export function searchPage(site: Site): string {
  const content = html`<p>Why was it cancelled, or why not?</p>`
  return pageWithSearch({ site, title: 'Find an order', path: '/orders', content })
}

/** @param options.boardPath of the order's check on the board; undefined: no check of it is known */
export function storyPage(options: { site: Site; story: Story; boardPath: string | undefined }): string {
  const { site, story, boardPath } = options
  const { orderId, verdict, events, missing, now } = story
  const notices = describeMissing(missing).map(
    ({ text }) => html`<p class="trouble mild">${text}</p>
`,
  )
  return pageWithSearch({
    site,
    title: `Order ${orderId}`,
    content: html`!${notices}
!${verdictBox(verdict, now)}
<section aria-labelledby="story">
<h2 id="story">What happened</h2>
<ol class="story">!${events.map((event) => eventItem(event, now))}</ol>
</section>
!${boardPath ? html`<p><a href="${linkTo(site, boardPath)}">Check on the board</a></p>` : ''}`,
  })
}

function verdictBox(verdict: Verdict, now: number): string {
  const { outcome, code, text, next, deadline, decidedAt, decidedBy, lateMs } = verdict
  const { look: usual, sign, label } = LOOKS[outcome]
  // Whatever the outcome: somebody has to do something, such as give money back.
  const look = next && usual === 'plain' ? 'warn' : usual
  const facts: [name: string, value: string | undefined][] = [
    ['Deadline', deadline === undefined ? undefined : timeOf(deadline, now)],
    ['Decided', decidedAt && timeOf(Date.parse(decidedAt), now)],
    ['By', decidedBy && html`${decidedBy}`],
    ['After the deadline', lateMs !== undefined && lateMs >= 0 ? html`${howLate(lateMs)}` : undefined],
    ['Code', html`<code>${code}</code>`],
  ]
  const known = facts.filter(([, value]) => value)
  const rows = known.map(
    ([name, value]) => html`<dt>${name}</dt><dd>!${value}</dd>
`,
  )
  return html`<section class="verdict is-${look}" aria-labelledby="verdict">
<h2 id="verdict"><span aria-hidden="true">${sign}</span> ${LABELS[code] ?? label}</h2>
<p>${text}</p>
!${next ? html`<p><strong>What to do:</strong> ${next}</p>` : ''}
<dl>!${rows}</dl>
</section>`
}

function eventItem({ at, code, text }: StoryEvent, now: number): string {
  const isToCome = at !== undefined && at > now
  const looks = [
    isToCome && 'to-come',
    DECIDING.has(code) && 'deciding',
    TROUBLING.has(code) && 'troubling',
    at === now && 'now',
  ].filter(Boolean)
  const when = at === undefined ? html`<span class="soft">at an unknown time</span>` : timeOf(at, now)
  return html`<li class="${looks.join(' ')}"><div class="when">!${when}</div><div class="what">${text}</div></li>
`
}

/** A time in UTC, how long ago that was, and the place where a script puts the browser's own time. */
function timeOf(at: number, now: number): string {
  const instant = instantOf(at)
  const utc = instant.replace('T', ' ').replace('Z', ' UTC')
  return html`<time datetime="${instant}">${utc}</time> <span class="soft">${relativeTime(at - now)}</span> <span class="soft local" data-local="${instant}" hidden></span>`
}

function pageWithSearch(options: { site: Site; title: string; path?: string; content: string }): string {
  const { site, title, path, content } = options
  const body = html`<h1>${title}</h1>
<form action="${linkTo(site, '/orders')}">
<input name="id" placeholder="Order id" aria-label="Order id" required maxlength="200">
<button>Explain</button>
</form>
!${content}`
  return page({ site, title, ...(path && { path }), body, style: STORY_STYLE, script: LOCAL_TIMES_PATH })
}
