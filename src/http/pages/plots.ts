import { html } from 'ghtml'
import { type Counts, LATENESS_BOUNDS, latenessOf, MINUTE_MS } from '../../observe/minutes.ts'
import type { Forecast } from '../../observe/vitals.ts'
import { howLate, number } from '../../runtime/human-numbers.ts'
import type { Overview } from './read-overview.ts'
import { barChart, dashChart, type Series } from './svg.ts'

type History = readonly Counts[]
type Key = Pick<Series, 'look' | 'name'>

/** Lateness that is only known to be longer is drawn as this. */
const LONGEST_DRAWN_MS = LATENESS_BOUNDS.at(-1) as number
const LOOKS_OF_DECISIONS = { cancelled: 'a', kept: 'b', missing: 'c' }
const PERCENTILES = [
  { look: 'a', name: 'half of them at most', quantile: 0.5 },
  { look: 'c', name: '99 of 100 at most', quantile: 0.99 },
]

/** The future and the past by the minute: a figure for each, as HTML. */
export function plotsOf({ forecast, history, at }: Overview): string[] {
  return [
    ...(forecast ? [plotDeadlines(forecast)] : []),
    ...(history ? [plotDecisions(history, at), plotLateness(history, at)] : []),
    ...(forecast && history ? [] : [MISSING]),
  ]
}

const MISSING = html`<p class="soft">${'The plots of the hours before and to come cannot be read now.'}</p>`

function plotDeadlines({ minutes, at, within }: Forecast): string {
  const title = 'Deadlines to come in the next hour'
  const labels = minutes.map((_, minute) => timeOf(at + minute * MINUTE_MS))
  const series = [{ name: 'checks', look: 'a', values: minutes }]
  const sum = `${number(within['60m'])} in all, by minute`
  return figure({ title, series, sum, chart: barChart({ title, labels, series }) })
}

function plotDecisions(history: History, at: number): string {
  const title = 'Decisions in the last hour, by outcome'
  const series = Object.entries(LOOKS_OF_DECISIONS).map(([name, look]) => ({
    name,
    look,
    values: history.map((counts) => counts[name] ?? 0),
  }))
  return figure({ title, series, chart: barChart({ title, labels: minutesBefore(at, history.length), series }) })
}

function plotLateness(history: History, at: number): string {
  const title = 'Lateness in the last hour'
  const series = PERCENTILES.map(({ look, name, quantile }) => ({
    name,
    look,
    values: history.map((counts) => {
      const lateMs = latenessOf(counts, quantile)
      return lateMs && Math.min(lateMs, LONGEST_DRAWN_MS)
    }),
  }))
  const chart = dashChart({ title, labels: minutesBefore(at, history.length), series, wordOf: howLate })
  return figure({ title, series, chart })
}

function figure(options: { title: string; series: readonly Key[]; sum?: string; chart: string }): string {
  const { title, series, sum, chart } = options
  const keys = series.map(({ look, name }) => html`<span class="key ${look}">${name}</span>`)
  return html`<figure>
<figcaption><h2>${title}</h2><span class="soft">!${keys}</span>!${sum ? html`<span class="soft">${sum}</span>` : ''}</figcaption>
!${chart}
</figure>
`
}

function minutesBefore(at: number, minutes: number): string[] {
  return Array.from({ length: minutes }, (_, index) => timeOf(at - (minutes - 1 - index) * MINUTE_MS))
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16)
}
