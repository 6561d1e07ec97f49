import { describe, expect, test } from '@jest/globals'
import { mask } from '../../../../src/http/board/mask.ts'
import { overviewPage } from '../../../../src/http/pages/overview.ts'
import type { Overview } from '../../../../src/http/pages/read-overview.ts'
import { barChart, lineChart } from '../../../../src/http/pages/svg.ts'
import { fakeSite } from '../../../helpers/fake-site.ts'

const AT = Date.parse('2026-11-25T10:00:30Z')
const calm: Overview = {
  at: AT,
  waiting: 1_234,
  due: 0,
  failed: 0,
  overdue: { orders: 0, oldestSeconds: 0 },
  history: Array.from({ length: 60 }, (_, n) => ({ cancelled: n, kept: 1, 'late:3': n })),
  forecast: {
    at: AT,
    waiting: 1_234,
    due: 0,
    within: { '1m': 1, '5m': 2, '15m': 3, '60m': 4 },
    minutes: new Array<number>(60).fill(2),
  },
  states: [{ name: 'Redis', level: 'good', text: 'up' }],
}
const render = (overview: Partial<Overview> = {}) =>
  overviewPage({ site: fakeSite({ environment: '<staging>' }), overview: { ...calm, ...overview } })

describe('the overview', () => {
  test('shows what there is, comes again by itself, and needs nothing of another site and no script', () => {
    const html = render()
    expect(html).toContain('1,234')
    expect(html).toContain('≤ 10 ms')
    expect(html.match(/<svg/g)).toHaveLength(3)
    expect(html).toContain('<a href="/?paused">Pause</a>')
    expect(html).toContain('&#60;staging&#62;')
    expect(html).not.toMatch(/<script|https?:/)
    expect(html).toContain('prefers-color-scheme: dark')
  })

  test('says what cannot be read, and does not say 0 of it', () => {
    const html = render({
      waiting: undefined,
      due: undefined,
      failed: undefined,
      overdue: undefined,
      history: undefined,
      forecast: undefined,
    })
    expect(html.match(/cannot be read now/g)).toHaveLength(3)
    expect(html).not.toContain('<svg')
    expect(html).not.toContain('<b>0</b>')
    expect(html.match(/<b>–<\/b>/g)).toHaveLength(6)
  })

  test('says that it was later than it can tell', () => {
    const html = render({ history: [{ 'late:16': 5 }] })
    expect(html).toContain('&#62; 300,000 ms')
    expect(html).not.toMatch(/NaN|Infinity/)
  })

  test('marks what is overdue', () => {
    expect(render({ overdue: { orders: 3, oldestSeconds: 300 } })).toContain('<b class="bad">5 min</b>')
  })
})

test('bars stand upon each other, and each says its numbers', () => {
  const svg = barChart({
    title: 'a & b',
    labels: ['10:00', '10:01'],
    series: [
      { name: 'x', look: 'a', values: [10, 0] },
      { name: 'y', look: 'b', values: [10, 4] },
    ],
  })
  const rects = [...svg.matchAll(/<rect class="(\w)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"/g)].map(
    ([, look, y, height]) => [look, Number(y), Number(height)],
  )
  expect(rects).toEqual([
    ['a', 68, 60],
    ['b', 8, 60],
    ['b', 104, 24],
  ])
  expect(svg).toContain('<title>10:00: x 10, y 10</title>')
  expect(svg).toContain('aria-label="a &#38; b"')
})

test('lines have gaps where nothing is known', () => {
  const svg = lineChart({
    title: 't',
    unit: 'ms',
    labels: ['1', '2', '3', '4'],
    series: [{ name: 'p', look: 'a', values: [10, 100, undefined, 1] }],
  })
  expect(/ d="([^"]+)"/.exec(svg)?.[1]?.replace(/[\d. ]/g, '')).toBe('MLM')
  expect(svg.match(/<circle/g)).toHaveLength(3)
})

test('of a job only what we know is shown; what else is there keeps its name', () => {
  expect(mask({ orderId: '1', deadline: 5, email: 'ann@example.com', card: { number: '4' } })).toEqual({
    orderId: '1',
    deadline: 5,
    email: '•••',
    card: '•••',
  })
  expect(mask({ outcome: 'kept', status: 'paid', decidedBy: 'h:1' })).toEqual({
    outcome: 'kept',
    status: 'paid',
    decidedBy: 'h:1',
  })
  expect([mask(null), mask('text'), mask([1]), mask({ orderId: { a: 1 } })]).toEqual([
    null,
    '•••',
    '•••',
    { orderId: '•••' },
  ])
})
