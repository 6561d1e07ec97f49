import { distinct } from './figures.ts'
import { line, linearScale, lineStyle, logScale, path, type Scale, svg, text } from './plot.ts'
import { quantile } from './quantiles.ts'
import type { Measured } from './question.ts'
import { OURS } from './question-tables.ts'
import { formatNumber } from './table.ts'

const WIDTH = 900
const PANEL = { left: 62, right: 640, height: 200, gap: 78, top: 84 }
const LEGEND = { left: 664, lineHeight: 19 }
const LEAST_MS = 0.5
/** Steps of the axes. */
const TENS_MS = [1, 10, 100, 1_000, 10_000, 100_000]
const SHARES = [0, 0.25, 0.5, 0.75, 1]
const P99 = 0.99

/** Lateness as cumulative distributions, a panel for each rate; undefined if none was measured. */
export function latenessPlot(measured: readonly Measured[]): string | undefined {
  const sampled = measured.filter(({ question, samples }) => question === 'lateness' && samples && samples.length > 1)
  if (sampled.length === 0) return undefined
  const contenders = distinct(sampled.map(({ contender }) => contender))
  contenders.sort((a, b) => Number(b === OURS) - Number(a === OURS))
  const rates = distinct(sampled.map((one) => one.case))
  const most = Math.max(...sampled.map(({ samples }) => samples?.at(-1) ?? 0), 100)
  const maxMs = TENS_MS.find((ten) => ten >= most) ?? most
  const x = logScale({ min: LEAST_MS, max: maxMs }, { min: PANEL.left, max: PANEL.right })
  const body = [
    text({ x: PANEL.left, y: 28, text: 'How late orders are cancelled', className: 'title' }),
    text({
      x: PANEL.left,
      y: 48,
      text: 'Share of the orders that are cancelled within so many milliseconds of their deadline; further left is better.',
      className: 'soft',
    }),
  ]
  for (const [index, rate] of rates.entries()) {
    const top = PANEL.top + index * (PANEL.height + PANEL.gap)
    const distributions = contenders.flatMap((contender, style) => {
      const ofThis = sampled.filter((one) => one.case === rate && one.contender === contender)
      const samples = ofThis.flatMap((one) => one.samples ?? []).sort((a, b) => a - b)
      return samples.length > 0 ? [{ contender, style, samples }] : []
    })
    body.push(...panel({ rate, top, x, maxMs, distributions }))
  }
  const height = PANEL.top + rates.length * (PANEL.height + PANEL.gap) - 24
  return svg({
    width: WIDTH,
    height,
    title: 'How late orders are cancelled',
    description: `Cumulative distributions of lateness, in milliseconds on a logarithmic axis, at ${rates.join(', ')}, of ${contenders.join(', ')}.`,
    body,
  })
}

interface Distribution {
  contender: string
  /** Which line style. */
  style: number
  /** Milliseconds, sorted. */
  samples: number[]
}

function panel(options: {
  rate: string
  top: number
  x: Scale
  maxMs: number
  distributions: readonly Distribution[]
}): string[] {
  const { rate, top, x, maxMs, distributions } = options
  const bottom = top + PANEL.height
  const y = linearScale({ min: 0, max: 1 }, { min: bottom, max: top })
  return [
    text({ x: PANEL.left, y: top - 10, text: `${rate.replace('/s', '')} deadlines per second`, className: 'panel' }),
    ...axes({ x, y, top, bottom, maxMs }),
    // Ours above the others.
    ...distributions.toReversed().map(({ contender, style, samples }) => curve({ contender, style, samples, x, y })),
    ...directLabels({ distributions, x, y }),
    ...legend({ distributions, top }),
  ]
}

function axes(options: { x: Scale; y: Scale; top: number; bottom: number; maxMs: number }): string[] {
  const { x, y, top, bottom, maxMs } = options
  const parts: string[] = []
  for (const share of SHARES) {
    const at = y(share)
    parts.push(line({ x1: PANEL.left, y1: at, x2: PANEL.right, y2: at, className: 'grid' }))
    parts.push(text({ x: PANEL.left - 8, y: at + 4, text: `${share * 100} %`, className: 'soft', anchor: 'end' }))
  }
  for (const ten of TENS_MS.filter((ms) => ms <= maxMs)) {
    parts.push(line({ x1: x(ten), y1: top, x2: x(ten), y2: bottom, className: 'grid' }))
    parts.push(text({ x: x(ten), y: bottom + 17, text: formatNumber(ten), className: 'soft', anchor: 'middle' }))
  }
  parts.push(line({ x1: PANEL.left, y1: bottom, x2: PANEL.right, y2: bottom, className: 'axis' }))
  parts.push(
    text({
      x: (PANEL.left + PANEL.right) / 2,
      y: bottom + 34,
      text: 'lateness, ms (logarithmic)',
      className: 'soft',
      anchor: 'middle',
    }),
    text({
      x: 16,
      y: (top + bottom) / 2,
      text: 'share of orders',
      className: 'soft',
      anchor: 'middle',
      isUpright: true,
    }),
  )
  return parts
}

function curve(options: Distribution & { x: Scale; y: Scale }): string {
  const { contender, style, samples, x, y } = options
  const last = samples.length - 1
  const points = samples.map((ms, index) => ({ x: x(ms), y: y(index / last) }))
  const { className, dash } = lineStyle(style)
  return path({
    points: thinned(points),
    className: `line ${className}${contender === OURS ? ' ours' : ''}`,
    ...(contender !== OURS && { dash }),
  })
}

/** Without the points that lie on the one before: a third of the size, and no difference to be seen. */
function thinned(points: readonly { x: number; y: number }[]): { x: number; y: number }[] {
  const kept: { x: number; y: number }[] = []
  for (const [index, point] of points.entries()) {
    const before = kept.at(-1)
    const isFar = !before || Math.abs(point.x - before.x) + Math.abs(point.y - before.y) >= 1.5
    if (isFar || index === points.length - 1) kept.push(point)
  }
  return kept
}

/** Names beside their curves, each at a height of its own, from the fastest on top down to the slowest. */
function directLabels(options: { distributions: readonly Distribution[]; x: Scale; y: Scale }): string[] {
  const { distributions, x, y } = options
  const sorted = byMedian(distributions)
  return sorted.map(({ contender, style, samples }, index) => {
    const share = 0.92 - (0.84 * index) / Math.max(1, sorted.length - 1)
    const at = x(quantile(samples, share))
    const isAtEdge = at > PANEL.right - 90
    return text({
      x: isAtEdge ? at - 6 : at + 6,
      y: y(share) + 4,
      text: contender,
      className: `label t${style}${contender === OURS ? ' strong' : ''}`,
      ...(isAtEdge && { anchor: 'end' as const }),
    })
  })
}

/** Line, name, median and 99th percentile of each, the fastest first. */
function legend(options: { distributions: readonly Distribution[]; top: number }): string[] {
  const { distributions, top } = options
  const { left, lineHeight } = LEGEND
  const sorted = byMedian(distributions)
  const column = { p50: left + 170, p99: left + 226 }
  return [
    text({ x: column.p50, y: top + 4, text: 'p50', className: 'soft', anchor: 'end' }),
    text({ x: column.p99, y: top + 4, text: 'p99 ms', className: 'soft', anchor: 'end' }),
    ...sorted.flatMap(({ contender, style, samples }, index) => {
      const at = top + 26 + index * lineHeight
      const { className, dash } = lineStyle(style)
      const weight = contender === OURS ? 'strong' : ''
      return [
        line({
          x1: left,
          y1: at - 4,
          x2: left + 24,
          y2: at - 4,
          className: `line ${className}${contender === OURS ? ' ours' : ''}`,
          ...(contender !== OURS && { dash }),
        }),
        text({ x: left + 32, y: at, text: contender, className: weight }),
        text({ x: column.p50, y: at, text: inMs(quantile(samples, 0.5)), className: weight, anchor: 'end' }),
        text({ x: column.p99, y: at, text: inMs(quantile(samples, P99)), className: weight, anchor: 'end' }),
      ]
    }),
  ]
}

function byMedian(distributions: readonly Distribution[]): Distribution[] {
  return [...distributions].sort((a, b) => quantile(a.samples, 0.5) - quantile(b.samples, 0.5))
}

function inMs(ms: number): string {
  return formatNumber(ms, ms < 10 ? 1 : 0)
}
