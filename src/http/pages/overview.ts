import { html } from 'ghtml'
import { type Counts, LATENESS_BOUNDS, latenessOf } from '../../observe/minutes.ts'
import { LEFT_BEHIND_AFTER_MS } from '../../order/promise.ts'
import { howLong, number } from '../../runtime/human-numbers.ts'
import { page } from './page.ts'
import { plotsOf } from './plots.ts'
import type { Overview, State } from './read-overview.ts'
import { linkTo, type Site } from './site.ts'

/** The browser asks again after as many seconds, with or without JavaScript. */
export const REFRESH_S = 10
const LONGEST_KNOWN_MS = LATENESS_BOUNDS.at(-1) as number
const LATENESS_MINUTES = 15

/**
 * `/`: everything at a glance.
 *
 * @param options.isPaused it does not come again by itself
 */
export function overviewPage(options: { site: Site; overview: Overview; isPaused?: boolean }): string {
  const { site, overview, isPaused } = options
  const time = new Date(overview.at).toISOString().slice(11, 19)
  const again = isPaused
    ? html`paused. <a href="${linkTo(site, '/')}">Resume</a>`
    : html`comes again every ${REFRESH_S} s. <a href="${linkTo(site, '/?paused')}">Pause</a>`
  const body = html`<h1>order-expiry</h1>
<p class="soft">As of ${time} UTC, !${again}</p>
<section class="cards">!${figuresOf(overview).map(card)}</section>
<section class="cards">!${overview.states.map(card)}</section>
<section class="plots">!${plotsOf(overview)}</section>`
  return page({ site, title: 'Overview', path: '/', body })
}

function card({ name, level, text }: State): string {
  const look = level ? html` class="${level}"` : ''
  return html`<div class="card"><span class="soft">${name}</span><b!${look}>${text}</b></div>
`
}

function figuresOf({ waiting, due, failed, overdue, history }: Overview): State[] {
  return [
    { name: 'Orders waiting', text: count(waiting) },
    { name: 'Due now', text: count(due) },
    {
      name: 'Overdue in the store',
      text: count(overdue?.orders),
      level: overdue && (overdue.orders > 0 ? 'bad' : 'good'),
    },
    {
      name: 'Oldest overdue',
      text: overdue ? howLong(overdue.oldestSeconds * 1_000) : '–',
      level: overdue && (overdue.oldestSeconds * 1_000 > LEFT_BEHIND_AFTER_MS ? 'bad' : 'good'),
    },
    { name: `Lateness, ${LATENESS_MINUTES} min, p99`, text: latenessText(history) },
    { name: 'Given up', text: count(failed), level: failed === undefined ? undefined : failed > 0 ? 'warn' : 'good' },
  ]
}

function latenessText(history: Overview['history']): string {
  const p99 = history && latenessOf(history.slice(-LATENESS_MINUTES).reduce(addUp, {}), 0.99)
  if (p99 === undefined) return '–'
  return p99 === Number.POSITIVE_INFINITY ? `> ${count(LONGEST_KNOWN_MS)} ms` : `≤ ${count(p99)} ms`
}

function addUp(sum: Counts, counts: Counts): Counts {
  for (const [name, value] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + value
  return sum
}

function count(value: number | undefined): string {
  return value === undefined ? '–' : number(value)
}
