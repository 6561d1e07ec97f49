import { medianOf } from './figures.ts'
import { CASES } from './growth-cases.ts'
import { dot, line, linearScale, niceSteps, path, svg, text } from './plot.ts'
import type { Measured } from './question.ts'
import { OURS } from './question-tables.ts'
import { formatNumber } from './table.ts'

const WIDTH = 900
const PANEL = { left: 86, right: 850, height: 120, gap: 44, top: 96 }
/** Below the last panel: what the panels share. */
const AXIS_HEIGHT = 62

/** What is drawn over the number of waiting orders, from top to bottom. */
const PANELS = [
  { key: 'settledPerSecond', title: 'Settle rate, orders per second', better: 'more', decimals: 0 },
  { key: 'p99', title: 'Lateness at 500 deadlines per second, p99 in ms', better: 'less', decimals: 1 },
  { key: 'sweepMs', title: 'One sweep, ms', better: 'less', decimals: 0 },
] as const

const PLACES = [
  { case: CASES.tenThousand, label: ['10 thousand', 'waiting'] },
  { case: CASES.hundredThousand, label: ['100 thousand', 'waiting'] },
  { case: CASES.million, label: ['1 million', 'waiting'] },
  { case: CASES.tenMillionRows, label: ['1 million waiting,', '10 million rows in the table'] },
] as const

/** How speed changes as orders pile up; undefined if it was not measured. */
export function growthPlot(measured: readonly Measured[]): string | undefined {
  const places = PLACES.filter(({ case: ofCase }) =>
    measured.some((one) => one.question === 'growth' && one.case === ofCase),
  )
  if (places.length === 0) return undefined
  const step = (PANEL.right - PANEL.left) / PLACES.length
  const x = (index: number) => PANEL.left + (index + 0.5) * step
  const bottom = PANEL.top + PANELS.length * (PANEL.height + PANEL.gap) - PANEL.gap
  const body = [
    text({ x: PANEL.left, y: 28, text: 'How speed changes as orders pile up', className: 'title' }),
    text({
      x: PANEL.left,
      y: 48,
      text: 'The same orders fall due in each column; what grows is the number of the others.',
      className: 'soft',
    }),
  ]
  for (const [index, panel] of PANELS.entries()) {
    const top = PANEL.top + index * (PANEL.height + PANEL.gap)
    const points = places.flatMap((place) => {
      const value = medianOf(measured, { question: 'growth', contender: OURS, case: place.case, key: panel.key })
      return value === undefined
        ? []
        : [{ x: x(PLACES.indexOf(place)), value, isRows: place.case === CASES.tenMillionRows }]
    })
    if (points.length > 0) body.push(...panelParts({ ...panel, top, points, index }))
  }
  for (const { label } of places) {
    const at = x(PLACES.findIndex((place) => place.label === label))
    for (const [row, words] of label.entries()) {
      body.push(text({ x: at, y: bottom + 20 + row * 15, text: words, anchor: 'middle' }))
    }
  }
  body.push(
    text({
      x: (PANEL.left + PANEL.right) / 2,
      y: bottom + AXIS_HEIGHT - 6,
      text: 'other orders',
      className: 'soft',
      anchor: 'middle',
    }),
  )
  return svg({
    width: WIDTH,
    height: bottom + AXIS_HEIGHT + 8,
    title: 'How speed changes as orders pile up',
    description: `Settle rate, lateness and the time of a sweep with ${places.map(({ label }) => label.join(' ')).join('; ')}.`,
    body,
  })
}

function panelParts(options: {
  title: string
  better: 'more' | 'less'
  decimals: number
  top: number
  index: number
  points: readonly { x: number; value: number; isRows: boolean }[]
}): string[] {
  const { title, better, decimals, top, index, points } = options
  const bottom = top + PANEL.height
  const steps = niceSteps(Math.max(...points.map(({ value }) => value)) * 1.15, 3)
  const y = linearScale({ min: 0, max: steps.at(-1) ?? 1 }, { min: bottom, max: top })
  const parts = [
    text({ x: PANEL.left, y: top - 12, text: title, className: 'panel' }),
    text({ x: PANEL.right, y: top - 12, text: `${better} is better`, className: 'soft', anchor: 'end' }),
  ]
  for (const value of steps) {
    parts.push(line({ x1: PANEL.left, y1: y(value), x2: PANEL.right, y2: y(value), className: 'grid' }))
    const words = formatNumber(value, Number.isInteger(value) ? 0 : 1)
    parts.push(text({ x: PANEL.left - 8, y: y(value) + 4, text: words, className: 'soft', anchor: 'end' }))
  }
  parts.push(line({ x1: PANEL.left, y1: bottom, x2: PANEL.right, y2: bottom, className: 'axis' }))
  const grown = points.filter(({ isRows }) => !isRows)
  const place = ({ x, value }: { x: number; value: number }) => ({ x, y: y(value) })
  parts.push(path({ points: grown.map(place), className: `line ours c${index}` }))
  // What grows from here on is the table, and no longer what waits.
  parts.push(path({ points: points.slice(-2).map(place), className: `line c${index}`, dash: '4 4' }))
  for (const point of points) {
    const at = place(point)
    parts.push(dot({ ...at, index, isHollow: point.isRows }))
    parts.push(
      text({
        x: at.x,
        y: at.y - 10,
        text: formatNumber(point.value, decimals),
        className: 'label strong',
        anchor: 'middle',
      }),
    )
  }
  return parts
}
