import { html } from 'ghtml'
import { type Counts, LATENESS_BOUNDS, latenessOf } from '../../observe/minutes.ts'
import type { Overview } from './read-overview.ts'
import { barChart, lineChart, type Series } from './svg.ts'

const MINUTE_MS = 60_000
/** Lateness that is only known to be longer is drawn as this. */
const LONGEST_DRAWN_MS = LATENESS_BOUNDS.at(-1) as number
const DECISIONS = [
  { look: 'a', name: 'cancelled' },
  { look: 'b', name: 'kept' },
  { look: 'c', name: 'missing' },
]
const PERCENTILES = [
  { look: 'a', name: 'p50', quantile: 0.5 },
  { look: 'c', name: 'p99', quantile: 0.99 },
]

/** What is to come and what was, by the minute: a figure for each, as HTML. */
export function plotsOf(overview: Overview): string[] {
  return [plotDeadlines(overview), plotDecisions(overview), plotLateness(overview)]
}

function plotDeadlines({ forecast }: Overview): string {
  if (!forecast) return missingFigure('Deadlines to come')
  const title = 'Deadlines to come in the next hour'
  const labels = forecast.minutes.map((_, minute) => timeOf(forecast.at + minute * MINUTE_MS))
  const series = [{ name: 'checks', look: 'a', values: forecast.minutes }]
  return figure({ title: `${title}, by minute`, series, svg: barChart({ title, labels, series }), isPast: false })
}

function plotDecisions({ history, at }: Overview): string {
  if (!history) return missingFigure('Decisions')
  const title = 'Decisions in the last hour, by outcome'
  const series = DECISIONS.map(({ look, name }) => ({
    name,
    look,
    values: history.map((counts) => counts[name] ?? 0),
  }))
  const svg = barChart({ title, labels: minutesBefore(at, history.length), series })
  return figure({ title, series, svg, isPast: true })
}

function plotLateness({ history, at }: Overview): string {
  if (!history) return missingFigure('Lateness')
  const title = 'Lateness in the last hour'
  const drawn = (counts: Counts, quantile: number) => {
    const lateMs = latenessOf(counts, quantile)
    return lateMs === undefined ? undefined : Math.min(lateMs, LONGEST_DRAWN_MS)
  }
  const series = PERCENTILES.map(({ look, name, quantile }) => ({
    name: `${name} at most`,
    look,
    values: history.map((counts) => drawn(counts, quantile)),
  }))
  const svg = lineChart({ title, labels: minutesBefore(at, history.length), series, unit: 'ms' })
  return figure({ title, series: PERCENTILES, svg, isPast: true })
}

/** A plot of the past is scrolled to its end where there is no room for all of it. */
function figure(options: {
  title: string
  series: readonly Pick<Series, 'look' | 'name'>[]
  svg: string
  isPast: boolean
}): string {
  const { title, series, svg, isPast } = options
  const keys = series.map(({ look, name }) => html`<span class="key ${look}">${name}</span>`)
  return html`<figure>
<h2>${title}<span class="soft">!${keys}</span></h2>
<div class="wide${isPast ? ' past' : ''}">!${svg}</div>
</figure>
`
}

function missingFigure(title: string): string {
  return html`<figure><h2>${title}</h2><p class="bad">cannot be read now</p></figure>
`
}

function minutesBefore(at: number, minutes: number): string[] {
  return Array.from({ length: minutes }, (_, index) => timeOf(at - (minutes - 1 - index) * MINUTE_MS))
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16)
}
