import { escapeHtml } from './html.ts'

const WIDTH = 1200
const HEIGHT = 150
const LEFT = 84
const BOTTOM = 22
const TOP = 8
const RIGHT = 8

export interface Series {
  name: string
  /** A class of the page's style sheet, which colours it in light and dark. */
  look: string
  values: readonly (number | undefined)[]
}

/** Bars, of several series one upon the other. What it shows is in `title`, each bar's own numbers in its tooltip. */
export function barChart(options: { title: string; series: readonly Series[]; labels: readonly string[] }): string {
  const { title, series, labels } = options
  const totals = labels.map((_, index) => series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0))
  const most = niceCeiling(Math.max(1, ...totals))
  const step = (WIDTH - LEFT - RIGHT) / labels.length
  const bars = labels.map((label, index) => {
    let from = 0
    const parts = series.map(({ look, values }) => {
      const value = values[index] ?? 0
      const y = yOf(from + value, most)
      const height = yOf(from, most) - y
      from += value
      return value > 0
        ? `<rect class="${look}" x="${fixed(LEFT + index * step + step * 0.1)}" y="${fixed(y)}" width="${fixed(step * 0.8)}" height="${fixed(height)}"/>`
        : ''
    })
    const told = series.map(({ name, values }) => `${name} ${values[index] ?? 0}`).join(', ')
    return `<g><title>${escapeHtml(`${label}: ${told}`)}</title>${parts.join('')}</g>`
  })
  return frame({ title, most, labels, step, body: bars.join('') })
}

/** Lines on a logarithmic scale; a gap where there is no value. */
export function lineChart(options: {
  title: string
  series: readonly Series[]
  labels: readonly string[]
  unit: string
}): string {
  const { title, series, labels, unit } = options
  const known = series.flatMap(({ values }) => values.filter((value) => value !== undefined))
  const most = 10 ** Math.ceil(Math.log10(Math.max(10, ...known)))
  const step = (WIDTH - LEFT - RIGHT) / labels.length
  const height = (value: number) =>
    TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.log10(Math.max(1, value)) / Math.log10(most))
  const lines = series.map(({ name, look, values }) => {
    const points = values.flatMap((value, index) => (value === undefined ? [] : [{ value, index }]))
    const dots = points.map(
      ({ value, index }) =>
        `<circle class="${look}" cx="${fixed(LEFT + (index + 0.5) * step)}" cy="${fixed(height(value))}" r="2.5"><title>${escapeHtml(`${labels[index]}: ${name} ${value} ${unit}`)}</title></circle>`,
    )
    const path = points.map(({ value, index }, n) => {
      const isNext = n > 0 && points[n - 1]?.index === index - 1
      return `${isNext ? 'L' : 'M'}${fixed(LEFT + (index + 0.5) * step)} ${fixed(height(value))}`
    })
    return `<path class="line ${look}" d="${path.join('')}"/>${dots.join('')}`
  })
  return frame({ title, most, labels, step, body: lines.join(''), unit })
}

function frame(options: {
  title: string
  most: number
  labels: readonly string[]
  step: number
  body: string
  unit?: string
}): string {
  const { title, most, labels, step, body, unit } = options
  const every = Math.max(1, Math.ceil(labels.length / 8))
  const ticks = labels.map((label, index) =>
    index % every === 0
      ? `<text x="${fixed(LEFT + (index + 0.5) * step)}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(label)}</text>`
      : '',
  )
  const floor = HEIGHT - BOTTOM
  return (
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">` +
    `<line class="axis" x1="${LEFT}" y1="${floor}" x2="${WIDTH - RIGHT}" y2="${floor}"/>` +
    `<text x="${LEFT - 6}" y="${TOP + 8}" text-anchor="end">${most.toLocaleString('en')}${unit ? ` ${unit}` : ''}</text>` +
    `<text x="${LEFT - 6}" y="${floor}" text-anchor="end">${unit ? `1 ${unit}` : '0'}</text>` +
    `${body}${ticks.join('')}</svg>`
  )
}

function yOf(value: number, most: number): number {
  return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most)
}

/** The least round number that is not below. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 3, 4, 5, 6, 8, 10].find((digit) => digit * power >= value) ?? 10) * power
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}
