import { describe, expect, test } from '@jest/globals'
import { type DemoOrder, judge, renderReport } from '../../../../src/commands/demo/report.ts'
import type { Order } from '../../../../src/order/order.ts'
import type { OrderEvent } from '../../../../src/stores/redis/events.ts'

const DEADLINE = Date.UTC(2030, 0, 1)

/** An order of the demo with what became of it: its status in the end, and its cancellations, in ms after the deadline. */
interface Story {
  payment?: DemoOrder['payment']
  status?: string | undefined
  cancelledAfterMs?: number[]
}

const unpaid: Story = { status: 'cancelled', cancelledAfterMs: [12] }
const paid: Story = { payment: 'paid', status: 'paid' }
const tooLate: Story = { payment: 'cancelled', status: 'cancelled', cancelledAfterMs: [3] }

function judged(...stories: Story[]) {
  const orders: DemoOrder[] = []
  const found: (Order | undefined)[] = []
  const cancellations: OrderEvent[] = []
  for (const [n, { payment, status, cancelledAfterMs = [] }] of stories.entries()) {
    const orderId = `demo-${n}`
    orders.push({ orderId, deadline: DEADLINE + n, payAt: payment && DEADLINE + n - 10, payment })
    found.push(
      status === undefined
        ? undefined
        : { orderId, status, isUnpaid: status === 'pending', deadline: DEADLINE + n, cancelledAt: undefined },
    )
    for (const ms of cancelledAfterMs) {
      const id = `0-${cancellations.length}`
      cancellations.push({ id, type: 'order.cancelled', orderId, at: DEADLINE + n + ms, deadline: DEADLINE + n })
    }
  }
  return judge({ orders, found, cancellations })
}

describe('judge', () => {
  test('finds nothing broken where every promise was kept, and counts', () => {
    expect(judged(unpaid, paid, tooLate, unpaid, paid)).toEqual({
      cancelled: 3,
      kept: 2,
      tooLate: 1,
      lateMs: { p50: 12, p99: 12, max: 12 },
      broken: [],
    })
  })

  test.each<[broken: string, stories: Story[]]>([
    ['1 paid, but cancelled', [{ payment: 'paid', status: 'cancelled', cancelledAfterMs: [5] }]],
    ['1 paid, but cancelled', [{ payment: 'paid', status: undefined }]],
    ['1 unpaid, but not cancelled', [{ status: 'pending' }]],
    ['1 unpaid, but not cancelled', [{ status: undefined }]],
    ['1 unpaid, but not cancelled', [{ payment: 'cancelled', status: 'paid' }]],
    ['1 unpaid, but not cancelled', [{ payment: 'missing', status: 'pending' }]],
    ['1 cancelled before the deadline', [{ status: 'cancelled', cancelledAfterMs: [-1] }]],
    ['1 cancelled over 1000 ms late', [{ status: 'cancelled', cancelledAfterMs: [1_001] }]],
    ['1 not exactly one event for a cancellation', [{ status: 'cancelled', cancelledAfterMs: [] }]],
    ['1 not exactly one event for a cancellation', [{ status: 'cancelled', cancelledAfterMs: [5, 6] }]],
    ['1 not exactly one event for a cancellation', [{ payment: 'paid', status: 'paid', cancelledAfterMs: [5] }]],
    ['3 unpaid, but not cancelled', [{ status: 'pending' }, { status: 'pending' }, { status: 'pending' }]],
  ])('reports %s', (broken, stories) => {
    expect(judged(unpaid, ...stories, paid).broken).toEqual([broken])
  })

  test('reports each promise that was broken', () => {
    const stories: Story[] = [
      { payment: 'paid', status: 'cancelled', cancelledAfterMs: [5] },
      { status: 'pending' },
      { status: 'cancelled', cancelledAfterMs: [-5] },
      { status: 'cancelled', cancelledAfterMs: [2_000] },
      { status: 'cancelled', cancelledAfterMs: [1, 2] },
    ]
    expect(judged(...stories).broken).toHaveLength(5)
  })

  test.each([0, 1_000])('takes a cancellation %d ms after the deadline for one in time', (ms) => {
    expect(judged({ status: 'cancelled', cancelledAfterMs: [ms] }).broken).toEqual([])
  })

  test('takes the lateness by nearest rank', () => {
    const stories = Array.from({ length: 200 }, (_, n): Story => ({ status: 'cancelled', cancelledAfterMs: [200 - n] }))
    expect(judged(...stories).lateMs).toEqual({ p50: 100, p99: 198, max: 200 })
    expect(judged(paid).lateMs).toEqual({ p50: 0, p99: 0, max: 0 })
  })
})

describe('renderReport', () => {
  test('shows a table and says that every promise was kept', () => {
    const lines = renderReport(judged(unpaid, paid, { status: 'cancelled', cancelledAfterMs: [250] }))
    const rows = lines.filter((line) => line.startsWith('│')).map((line) => line.split('│').map((cell) => cell.trim()))
    expect(rows).toEqual([
      ['', 'cancelled', '2', ''],
      ['', 'kept', '1', ''],
      ['', 'lateness p50', '12 ms', ''],
      ['', 'lateness p99', '250 ms', ''],
      ['', 'lateness max', '250 ms', ''],
      ['', 'paid orders cancelled', '0', ''],
    ])
    expect(new Set(lines.slice(0, -1).map((line) => line.length)).size).toBe(1)
    expect(lines.at(-1)).toBe('Every promise was kept.')
  })

  test('says which promises were broken, and how many paid orders were cancelled', () => {
    const wrong: Story = { payment: 'paid', status: 'cancelled', cancelledAfterMs: [5] }
    const lines = renderReport(judged(wrong, wrong, { status: 'pending' }))
    expect(lines.join('\n')).toMatch(/paid orders cancelled +│ +2 │/)
    expect(lines.at(-1)).toBe('BROKEN: 2 paid, but cancelled; 1 unpaid, but not cancelled')
  })

  test('does not count unpaid orders that were left as paid ones that were cancelled', () => {
    expect(renderReport(judged({ status: 'pending' })).join('\n')).toMatch(/paid orders cancelled +│ +0 │/)
  })

  test('speaks of those who came too late, if there are any', () => {
    expect(renderReport(judged(tooLate)).at(-2)).toMatch(/^1 more tried to pay/)
    expect(renderReport(judged(tooLate, tooLate)).at(-2)).toMatch(/^2 more tried to pay/)
    expect(renderReport(judged(paid)).join('\n')).not.toMatch(/more tried to pay/)
  })
})
