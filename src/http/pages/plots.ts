import { html } from 'ghtml'
import { type Counts, LATENESS_BOUNDS, latenessOf, MINUTE_MS } from '../../observe/minutes.ts'
import type { Forecast } from '../../observe/vitals.ts'
import type { Overview } from './read-overview.ts'
import { barChart, lineChart, type Series } from './svg.ts'

type History = readonly Counts[]
type Key = Pick<Series, 'look' | 'name'>

/** Lateness that is only known to be longer is drawn as this. */
const LONGEST_DRAWN_MS = LATENESS_BOUNDS.at(-1) as number
const LOOKS_OF_DECISIONS = { cancelled: 'a', kept: 'b', missing: 'c' }
const PERCENTILES = [
  { look: 'a', name: 'p50', quantile: 0.5 },
  { look: 'c', name: 'p99', quantile: 0.99 },
]

/** The future and the past by the minute: a figure for each, as HTML. */
export function plotsOf({ forecast, history, at }: Overview): string[] {
  return [
    forecast ? plotDeadlines(forecast) : missingFigure('Deadlines to come'),
    history ? plotDecisions(history, at) : missingFigure('Decisions'),
    history ? plotLateness(history, at) : missingFigure('Lateness'),
  ]
}

function plotDeadlines({ minutes, at }: Forecast): string {
  const title = 'Deadlines to come in the next hour'
  const labels = minutes.map((_, minute) => timeOf(at + minute * MINUTE_MS))
  const series = [{ name: 'checks', look: 'a', values: minutes }]
  return figure({ title: `${title}, by minute`, series, svg: barChart({ title, labels, series }), look: 'wide' })
}

function plotDecisions(history: History, at: number): string {
  const title = 'Decisions in the last hour, by outcome'
  const series = Object.entries(LOOKS_OF_DECISIONS).map(([name, look]) => ({
    name,
    look,
    values: history.map((counts) => counts[name] ?? 0),
  }))
  const svg = barChart({ title, labels: minutesBefore(at, history.length), series })
  return figure({ title, series, svg, look: 'wide past' })
}

function plotLateness(history: History, at: number): string {
  const title = 'Lateness in the last hour'
  const series = PERCENTILES.map(({ look, name, quantile }) => ({
    name: `${name} at most`,
    look,
    values: history.map((counts) => {
      const lateMs = latenessOf(counts, quantile)
      return lateMs && Math.min(lateMs, LONGEST_DRAWN_MS)
    }),
  }))
  const svg = lineChart({ title, labels: minutesBefore(at, history.length), series, unit: 'ms' })
  return figure({ title, series: PERCENTILES, svg, look: 'wide past' })
}

/** @param options.look a plot of the past is scrolled to its end where there is no room for all of it */
function figure(options: { title: string; series: readonly Key[]; svg: string; look: 'wide' | 'wide past' }): string {
  const { title, series, svg, look } = options
  const keys = series.map(({ look, name }) => html`<span class="key ${look}">${name}</span>`)
  return html`<figure>
<h2>${title}<span class="soft">!${keys}</span></h2>
<div class="${look}">!${svg}</div>
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
