import { html } from 'ghtml'
import { number } from '../../runtime/human-numbers.ts'

const WIDTH = 1200
const HEIGHT = 150
const LEFT = 84
const RIGHT = WIDTH - 8
const TOP = 8
const FLOOR = HEIGHT - 22
const MOST_TICKS = 8

interface Chart {
  title: string
  /** One for each value of a series, from left to right. */
  labels: readonly string[]
  series: readonly Series[]
}

export interface Series {
  name: string
  /** A class of the page's style sheet, which colours it in light and dark. */
  look: string
  values: readonly (number | undefined)[]
}

/** Stacked bars, from 0 to a round number. A bar's tooltip shows its numbers. */
export function barChart(chart: Chart): string {
  const { series, labels } = chart
  const totals = labels.map((_, index) => series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0))
  const most = roundUp(Math.max(1, ...totals))
  const step = stepOf(chart)
  const bars = labels.map((label, index) => {
    let below = 0
    const parts = series.map(({ look, values }) => {
      const value = values[index] ?? 0
      const y = yOf((below + value) / most)
      const height = yOf(below / most) - y
      below += value
      if (value === 0) return ''
      return html`<rect class="${look}" x="${fixed(LEFT + (index + 0.1) * step)}" y="${fixed(y)}" width="${fixed(step * 0.8)}" height="${fixed(height)}"/>`
    })
    const numbers = series.map(({ name, values }) => `${name} ${values[index] ?? 0}`).join(', ')
    return html`<g><title>${label}: ${numbers}</title>!${parts}</g>`
  })
  return frame({ ...chart, from: '0', to: number(most), body: bars })
}

/** Lines on a logarithmic scale from 1, with a gap where there is no value. A dot's tooltip shows its value. */
export function lineChart(chart: Chart & { unit: string }): string {
  const { series, labels, unit } = chart
  const known = series.flatMap(({ values }) => values.filter((value) => value !== undefined))
  const digits = Math.ceil(Math.log10(Math.max(10, ...known)))
  const lines = series.map(({ name, look, values }) => {
    const points = values.flatMap((value, index) => {
      if (value === undefined) return []
      return [
        { value, index, x: fixed(middleOf(chart, index)), y: fixed(yOf(Math.log10(Math.max(1, value)) / digits)) },
      ]
    })
    const path = points.map(({ index, x, y }, n) => `${points[n - 1]?.index === index - 1 ? 'L' : 'M'}${x} ${y}`)
    const dots = points.map(
      ({ value, index, x, y }) =>
        html`<circle class="${look}" cx="${x}" cy="${y}" r="2.5"><title>${labels[index]}: ${name} ${value} ${unit}</title></circle>`,
    )
    return html`<path class="line ${look}" d="${path}"/>!${dots}`
  })
  const most = number(10 ** digits)
  return frame({ ...chart, from: `1 ${unit}`, to: `${most} ${unit}`, body: lines })
}

/** The axis with its ends in words, and as many labels below it as there is room for. */
function frame(options: Chart & { from: string; to: string; body: readonly string[] }): string {
  const { title, labels, from, to, body } = options
  const every = Math.max(1, Math.ceil(labels.length / MOST_TICKS))
  const ticks = labels.map((label, index) =>
    index % every === 0
      ? html`<text x="${fixed(middleOf(options, index))}" y="${HEIGHT - 6}" text-anchor="middle">${label}</text>`
      : '',
  )
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
<line class="axis" x1="${LEFT}" y1="${FLOOR}" x2="${RIGHT}" y2="${FLOOR}"/>
<text x="${LEFT - 6}" y="${TOP + 8}" text-anchor="end">${to}</text>
<text x="${LEFT - 6}" y="${FLOOR}" text-anchor="end">${from}</text>
!${body}!${ticks}</svg>`
}

function stepOf({ labels }: Chart): number {
  return (RIGHT - LEFT) / labels.length
}

function middleOf(chart: Chart, index: number): number {
  return LEFT + (index + 0.5) * stepOf(chart)
}

/** @param share of the height of the chart, from 0 to 1 */
function yOf(share: number): number {
  return TOP + (FLOOR - TOP) * (1 - share)
}

/** The least round number that is not below `value`. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 3, 4, 5, 6, 8, 10].find((digit) => digit * power >= value) ?? 10) * power
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}
