import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Counts, LATENESS_BOUNDS, latenessOf } from '../../observe/minutes.ts'
import type { Forecast } from '../../queue/view/forecast.ts'
import { escapeHtml, page } from './html.ts'
import { barChart, lineChart, type Series } from './svg.ts'

const MINUTE_MS = 60_000
const REFRESH_S = 10
const LONGEST_MS = LATENESS_BOUNDS.at(-1) as number

/** What a person on call wants to know. Where a part cannot be read, it is undefined, and the page says so. */
export interface Overview {
  /** Epoch milliseconds. */
  at: number
  /** Checks in the queue that are not due yet, and those that are. */
  waiting: number | undefined
  due: number | undefined
  /** In the failed set. */
  failed: number | undefined
  overdue: { orders: number; oldestSeconds: number } | undefined
  /** The last minutes, the oldest first. */
  history: readonly Counts[] | undefined
  forecast: Forecast | undefined
  states: readonly State[]
}

/** How something stands, in words. */
export interface State {
  name: string
  level: 'good' | 'warn' | 'bad'
  text: string
}

/** `/`: everything at a glance. It comes again by itself, with or without JavaScript. */
export function registerOverview(
  scope: FastifyInstance,
  options: { read: () => Promise<Overview>; environment: string | undefined; version: string },
): void {
  const { read, environment, version } = options
  scope.get('/', { schema: { hide: true } }, async (_request: FastifyRequest, reply) => {
    reply.header('cache-control', 'no-store').type('text/html; charset=utf-8')
    return overviewPage({ overview: await read(), environment, version })
  })
}

export function overviewPage(options: {
  overview: Overview
  environment: string | undefined
  version: string
}): string {
  const { overview, environment, version } = options
  const { at, waiting, due, failed, overdue, history, forecast, states } = overview
  const late = history?.slice(-15).reduce(addUp, {})
  const p99 = late && latenessOf(late, 0.99)
  const body = [
    `<header><h1>order-expiry</h1>${environment ? `<span class="badge">${escapeHtml(environment)}</span>` : ''}`,
    `<span class="soft">${escapeHtml(version)}, ${clockOf(at)} UTC, again every ${REFRESH_S} s</span>`,
    '<a href="/orders">Find an order</a><a href="/board">Board</a><a href="/docs">API</a><a href="/metrics">Metrics</a></header>',
    '<section class="cards">',
    card('Orders waiting', count(waiting)),
    card('Due now', count(due)),
    card('Overdue in the store', count(overdue?.orders), overdue && (overdue.orders > 0 ? 'bad' : 'good')),
    card(
      'Oldest overdue',
      overdue ? `${Math.round(overdue.oldestSeconds)} s` : '–',
      overdue && (overdue.oldestSeconds > 120 ? 'bad' : 'good'),
    ),
    card('Lateness, 15 min, p99', latenessText(p99)),
    card('Given up', count(failed), failed === undefined ? undefined : failed > 0 ? 'warn' : 'good'),
    '</section><section class="cards">',
    ...states.map(({ name, level, text }) => card(name, text, level)),
    '</section><section class="plots">',
    forecast
      ? figure('Deadlines to come in the next hour, by minute', [['a', 'checks']], futurePlot(forecast), false)
      : missing('Deadlines to come'),
    history
      ? figure('Decisions in the last hour, by outcome', DECISIONS, decisionsPlot(history, at))
      : missing('Decisions'),
    history
      ? figure(
          'Lateness in the last hour',
          [
            ['a', 'p50'],
            ['c', 'p99'],
          ],
          latenessPlot(history, at),
        )
      : missing('Lateness'),
    '</section>',
  ]
  return page({ title: 'order-expiry', refreshSeconds: REFRESH_S, body: body.join('\n') })
}

type Key = readonly (readonly [look: string, name: string])[]
const DECISIONS = [
  ['a', 'cancelled'],
  ['b', 'kept'],
  ['c', 'missing'],
] as const

function futurePlot({ at, minutes }: Forecast): string {
  const labels = minutes.map((_, minute) => minuteOf(at + minute * MINUTE_MS))
  return barChart({
    title: 'Deadlines to come in the next hour',
    labels,
    series: [{ name: 'checks', look: 'a', values: minutes }],
  })
}

function decisionsPlot(history: readonly Counts[], at: number): string {
  const series: Series[] = DECISIONS.map(([look, name]) => ({
    name,
    look,
    values: history.map((counts) => counts[name] ?? 0),
  }))
  return barChart({ title: 'Decisions in the last hour, by outcome', labels: pastLabels(history, at), series })
}

function latenessPlot(history: readonly Counts[], at: number): string {
  const series: Series[] = [
    { name: 'p50 at most', look: 'a', values: history.map((counts) => shown(latenessOf(counts, 0.5))) },
    { name: 'p99 at most', look: 'c', values: history.map((counts) => shown(latenessOf(counts, 0.99))) },
  ]
  return lineChart({ title: 'Lateness in the last hour', labels: pastLabels(history, at), series, unit: 'ms' })
}

/** The longest that the plot tells apart. */
function shown(lateMs: number | undefined): number | undefined {
  return lateMs === undefined ? undefined : Math.min(lateMs, LONGEST_MS)
}

function latenessText(p99: number | undefined): string {
  if (p99 === undefined) return '–'
  return p99 === Number.POSITIVE_INFINITY ? `> ${count(LONGEST_MS)} ms` : `≤ ${count(p99)} ms`
}

function pastLabels(history: readonly Counts[], at: number): string[] {
  return history.map((_, index) => minuteOf(at - (history.length - 1 - index) * MINUTE_MS))
}

function addUp(sum: Counts, counts: Counts): Counts {
  for (const [name, value] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + value
  return sum
}

function card(name: string, text: string, level?: State['level']): string {
  return `<div class="card"><span class="soft">${escapeHtml(name)}</span><b${level ? ` class="${level}"` : ''}>${escapeHtml(text)}</b></div>`
}

/** Where there is no room for all of it, what is past is seen from its end. */
function figure(title: string, key: Key, svg: string, isPast = true): string {
  const looks = key.map(([look, name]) => `<span class="key ${look}">${escapeHtml(name)}</span>`).join('')
  return `<figure><h2>${escapeHtml(title)}<span class="soft">${looks}</span></h2><div class="wide${isPast ? ' past' : ''}">${svg}</div></figure>`
}

function missing(title: string): string {
  return `<figure><h2>${escapeHtml(title)}</h2><p class="bad">cannot be read now</p></figure>`
}

function count(value: number | undefined): string {
  return value === undefined ? '–' : value.toLocaleString('en')
}

function clockOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19)
}

function minuteOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16)
}
