import { html } from 'ghtml'
import type { CancelledOrder, ProcessReport } from '../../observe/vitals.ts'
import { HEALTHY_MS } from '../../order/promise.ts'
import { howLate, howLong } from '../../runtime/human-numbers.ts'
import { type FirstSteps, firstSteps } from './first-steps.ts'
import { troublesOf } from './overview-troubles.ts'
import { page } from './page.ts'
import { plotsOf } from './plots.ts'
import type { Overview } from './read-overview.ts'
import { linkTo, type Site } from './site.ts'
import { figureTiles, stateTiles, type Tile, tileList } from './tiles.ts'
import { type Trouble, troubleBox } from './troubles.ts'

/** The browser asks again after as many seconds, with or without JavaScript. */
export const REFRESH_S = 10

/**
 * `/`: everything at a glance, what is wrong first.
 *
 * @param options.boardPath of the queue on the board
 * @param options.isPaused it does not come again by itself
 * @param options.steps how a first order is scheduled here
 */
export function overviewPage(options: {
  site: Site
  overview: Overview
  boardPath: string
  isPaused: boolean
  steps: FirstSteps
}): string {
  const { site, overview, steps } = options
  const troubles = troublesOf(overview, site)
  const isNew = hasSeenNothing(overview)
  const tiles = [...stateTiles(options), ...figureTiles(options)]
  const verdict = verdictOf({ tiles, isNew })
  const body = html`!${heading({ ...options, troubles, verdict })}
!${isNew ? firstSteps(steps, site) : ''}
!${tileList(tiles)}
!${isNew ? '' : html`<section class="plots" aria-label="By the minute">!${plotsOf(overview)}</section>`}
<div class="two">
!${isNew ? '' : cancelledOrders(overview, site)}
!${processes(overview)}
</div>`
  const [first] = troubles
  const title = first ? (first.tab ?? `⚠ ${first.title}`) : verdict.text
  return page({ site, title, path: '/', body })
}

function heading(options: {
  site: Site
  overview: Overview
  isPaused: boolean
  troubles: readonly Trouble[]
  verdict: Verdict
}): string {
  const { site, overview, isPaused, troubles, verdict } = options
  const time = new Date(overview.at).toISOString().slice(11, 19)
  const again = isPaused
    ? html`paused. <a href="${linkTo(site, '/')}">Resume</a>`
    : html`refreshes every ${REFRESH_S} s. <a href="${linkTo(site, '/?paused')}">Pause</a>`
  const boxes = troubles.map((trouble, n) => troubleBox({ site, trouble, level: n === 0 ? 1 : 2 }))
  return html`!${boxes}!${troubles.length === 0 ? html`<h1 class="${verdict.level}">${verdict.text}</h1>` : ''}
<p class="soft">As of ${time} UTC, !${again}</p>`
}

type Verdict = Required<Pick<Tile, 'level'>> & { text: string }

/** Where nothing holds up cancellations. */
function verdictOf({ tiles, isNew }: { tiles: readonly Tile[]; isNew: boolean }): Verdict {
  const marked = tiles.filter(({ level }) => level === 'warn' || level === 'bad').map(({ name }) => name)
  if (marked.length > 0) return { level: 'warn', text: `Look at: ${marked.join('; ')}` }
  return { level: 'good', text: isNew ? 'Ready for the first order' : 'All is well' }
}

/** Not a single order since this queue exists, as far as anybody knows. */
function hasSeenNothing({ counts, overdue, history, cancelled }: Overview): boolean {
  if (!counts || !overdue || !history || !cancelled) return false
  const jobs = Object.values(counts.jobs).reduce((sum, count) => sum + count, 0)
  return jobs + overdue.orders + cancelled.length === 0 && history.every((minute) => Object.keys(minute).length === 0)
}

function cancelledOrders({ cancelled, at }: Overview, site: Site): string {
  const rows = (cancelled ?? []).map(({ orderId, jobId, deadline, decidedAt, decidedBy, by }: CancelledOrder) => {
    const job = jobId === undefined ? '' : `?job=${encodeURIComponent(jobId)}`
    const story = linkTo(site, `/orders/${encodeURIComponent(orderId)}${job}`)
    const lateMs = Math.max(0, Date.parse(decidedAt) - Date.parse(deadline))
    const isLate = lateMs > HEALTHY_MS
    return html`<tr><th scope="row"><a href="${story}">${orderId}</a></th><td><time datetime="${decidedAt}">${instantOf(decidedAt, at)}</time></td><td!${isLate ? ' class="bad"' : ''}>${howLate(lateMs)}${isLate ? ', late' : ''}</td><td>${by}<span class="more">, ${decidedBy}</span></td></tr>
`
  })
  const columns = ['Order', 'At (UTC)', 'After its deadline', 'By']
  const empty = cancelled ? 'No check has cancelled an order lately.' : undefined
  return section({ title: 'Last cancelled', columns, rows, empty })
}

function processes({ processes, at }: Overview): string {
  const rows = (processes ?? []).map(({ name, version, startedAt, sweep }: ProcessReport) => {
    const swept = sweep ? `${howLong(Math.max(0, at - sweep.at))} ago` : '–'
    return html`<tr><th scope="row">${name}</th><td>${version}</td><td>${howLong(Math.max(0, at - startedAt))}</td><td>${swept}</td></tr>
`
  })
  const columns = ['Process', 'Version', 'Running for', 'Last sweep']
  const empty = processes ? 'None has reported within the last 30 s.' : undefined
  return section({ title: 'Processes', columns, rows, empty })
}

/** @param options.empty what there is to say without a row; undefined: it cannot be read */
function section(options: {
  title: string
  columns: readonly string[]
  rows: readonly string[]
  empty: string | undefined
}): string {
  const { title, columns, rows, empty = 'cannot be read now' } = options
  const heads = columns.map((name) => html`<th scope="col">${name}</th>`)
  const table = html`<table><thead><tr>!${heads}</tr></thead><tbody>
!${rows}</tbody></table>`
  return html`<section><h2>${title}</h2>
!${rows.length > 0 ? table : html`<p class="soft">${empty}</p>`}</section>`
}

/** `10:00:30`, or `11-24 10:00:30` if that was not today. */
function instantOf(iso: string, now: number): string {
  const isToday = iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10)
  return iso.slice(isToday ? 11 : 5, 19).replace('T', ' ')
}
