import { html } from 'ghtml'
import { number } from '../../runtime/human-numbers.ts'

/** Units of the drawing, which is stretched to whatever room there is; texts stand beside it. */
const WIDTH = 600
const HEIGHT = 100
const BAR_SHARE = 0.76
const DASH_HEIGHT = 3
const LABELS_BELOW = 5

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
  const bars = labels.map((label, index) => {
    if (totals[index] === 0) return ''
    let below = 0
    const parts = series.map(({ look, values }) => {
      const value = values[index] ?? 0
      const top = yOf((below + value) / most)
      const height = yOf(below / most) - top
      below += value
      return value === 0 ? '' : box({ chart, look, index, top, height })
    })
    const numbers = series.map(({ name, values }) => `${name} ${number(values[index] ?? 0)}`).join(', ')
    return html`<g><title>${label}: ${numbers}</title>!${parts}</g>`
  })
  const middle = most % 2 === 0 ? [number(most / 2)] : []
  return frame({ ...chart, scale: [number(most), ...middle, '0'], body: bars })
}

/**
 * A dash for each value, joined by a thin line, on a logarithmic scale from 1; a gap where there is no value. A dash's tooltip
 * shows its value.
 */
export function dashChart(chart: Chart & { wordOf: (value: number) => string }): string {
  const { series, labels, wordOf } = chart
  const known = series.flatMap(({ values }) => values.filter((value) => value !== undefined))
  const digits = Math.ceil(Math.log10(Math.max(10, ...known)))
  const lines = series.map(({ name, look, values }) => {
    const points = values.flatMap((value, index) =>
      value === undefined ? [] : [{ value, index, y: yOf(Math.log10(Math.max(1, value)) / digits) }],
    )
    const path = points.map(({ index, y }, n) => {
      const isNext = points[n - 1]?.index === index - 1
      return `${isNext ? 'L' : 'M'}${fixed((index + 0.5) * stepOf(chart))} ${fixed(y)}`
    })
    const dashes = points.map(({ value, index, y }) => {
      const dash = box({ chart, look, index, top: y - DASH_HEIGHT / 2, height: DASH_HEIGHT })
      return html`<g><title>${labels[index]}: ${name} ${wordOf(value)}</title>!${dash}</g>`
    })
    return html`<path class="line ${look}" d="${path}"/>!${dashes}`
  })
  const scale = Array.from({ length: digits + 1 }, (_, n) => wordOf(10 ** (digits - n)))
  return frame({ ...chart, scale, body: lines })
}

/** @param options.scale the words beside the drawing, from the top to the bottom, where a rule is each */
function frame(options: Chart & { scale: readonly string[]; body: readonly string[] }): string {
  const { title, labels, scale, body } = options
  const rules = scale.map((_, n) => {
    const y = fixed(yOf(1 - n / (scale.length - 1)))
    return html`<line class="rule" x1="0" y1="${y}" x2="${WIDTH}" y2="${y}"/>`
  })
  const below = Array.from(
    { length: LABELS_BELOW },
    (_, n) => labels[Math.round((n * (labels.length - 1)) / (LABELS_BELOW - 1))],
  )
  return html`<div class="plot"><div class="axis-y">!${spans(scale)}</div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title}">!${rules}!${body}</svg>
<div class="axis-x">!${spans(below)}</div></div>`
}

function spans(texts: readonly (string | undefined)[]): string[] {
  return texts.map((text) => html`<span>${text ?? ''}</span>`)
}

function box(options: { chart: Chart; look: string; index: number; top: number; height: number }): string {
  const { chart, look, index, top, height } = options
  const step = stepOf(chart)
  const x = (index + (1 - BAR_SHARE) / 2) * step
  return html`<rect class="${look}" x="${fixed(x)}" y="${fixed(top)}" width="${fixed(step * BAR_SHARE)}" height="${fixed(height)}"/>`
}

function stepOf({ labels }: Chart): number {
  return WIDTH / labels.length
}

/** @param share of the height of the chart, from 0 to 1 */
function yOf(share: number): number {
  return HEIGHT * (1 - share)
}

/** The least round number that is not below `value`. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 3, 4, 5, 6, 8, 10].find((digit) => digit * power >= value) ?? 10) * power
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}
