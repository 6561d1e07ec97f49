import { describe, expect, test } from '@jest/globals'
import type { Check, Order, Outcome } from '../../../../src/order/order.ts'
import { toShopOutcomes } from '../../../../src/stores/postgres/shop-sql.ts'

const NOW = Date.UTC(2030, 0, 1)
const DUE = NOW - 1_000

interface Case {
  rows?: unknown[]
  checks?: Check[]
  before?: (Partial<Order> | undefined)[]
  canonical?: (id: string) => string
}

/** The outcomes for one order that is unpaid and due, unless the case says otherwise. */
function outcomes({
  rows = [],
  checks = [{ orderId: '7', deadline: DUE }],
  before = [{}],
  canonical,
}: Case): Outcome[] {
  return toShopOutcomes({
    checks,
    rows,
    before: before.map(
      (order) =>
        order && { orderId: '7', status: 'pending', isUnpaid: true, deadline: DUE, cancelledAt: undefined, ...order },
    ),
    cancelledStatus: 'cancelled',
    decidedAt: NOW,
    canonical: canonical ?? ((id) => id),
  })
}

const row = (outcome: string, until: unknown = null, id: unknown = '7') => ({ id, outcome, until })
const evidence = { decidedAt: NOW, status: 'pending', deadline: DUE }

describe('a row that says', () => {
  test('cancelled counts, with what the order was before as the evidence', () => {
    expect(outcomes({ rows: [row('cancelled')] })).toEqual([{ kind: 'cancelled', at: NOW, evidence }])
  })

  test('kept counts, with the status that was seen', () => {
    const paid = { ...evidence, status: 'paid' }
    expect(outcomes({ rows: [row('kept')], before: [{ status: 'paid' }] })).toEqual([
      { kind: 'kept', status: 'paid', evidence: paid },
    ])
  })

  test('missing counts', () => {
    const missing = [{ kind: 'missing', evidence: { decidedAt: NOW } }]
    expect(outcomes({ rows: [row('missing')] })).toEqual(missing)
    expect(outcomes({ rows: [row('missing')], before: [undefined] })).toEqual(missing)
  })

  test('postponed until a moment to come counts', () => {
    const until = NOW + 60_000
    expect(outcomes({ rows: [row('postponed', new Date(until))] })).toEqual([
      { kind: 'postponed', until, reason: 'not-due', evidence },
    ])
  })

  test.each([
    ['no moment', null],
    ['a moment that has passed', new Date(NOW - 1)],
    ['just now', new Date(NOW)],
  ])('postponed until %s is looked at again soon', (_, until) => {
    expect(outcomes({ rows: [row('postponed', until)] })).toEqual([
      { kind: 'postponed', until: NOW + 300, reason: 'locked', evidence },
    ])
  })

  test('postponed until infinity is kept', () => {
    expect(outcomes({ rows: [row('postponed', Number.POSITIVE_INFINITY)] })).toEqual([
      { kind: 'kept', status: 'pending', evidence },
    ])
  })
})

describe('an order of which no row speaks', () => {
  test('is missing if there is none', () => {
    expect(outcomes({ before: [undefined] })).toEqual([{ kind: 'missing', evidence: { decidedAt: NOW } }])
  })

  test('is looked at again soon while unpaid and due: somebody has locked it', () => {
    expect(outcomes({ before: [{ status: 'new' }] })).toMatchObject([
      { kind: 'postponed', until: NOW + 300, reason: 'locked', evidence: { status: 'new' } },
    ])
  })

  test('is looked at again at its deadline while unpaid and not due', () => {
    expect(outcomes({ before: [{ deadline: NOW + 5 }] })).toMatchObject([
      { kind: 'postponed', until: NOW + 5, reason: 'not-due', evidence: { deadline: NOW + 5 } },
    ])
  })

  test.each(['paid', 'pending'])('is kept once it is not unpaid, whatever its status (%s)', (status) => {
    expect(outcomes({ before: [{ status, isUnpaid: false }] })).toMatchObject([{ kind: 'kept', status }])
  })
})

describe('the outcomes', () => {
  test('are in the order of the checks, whatever the order of the rows', () => {
    const checks = ['1', '2', '3', '4'].map((orderId) => ({ orderId, deadline: DUE }))
    const rows = [row('kept', null, '4'), row('cancelled', null, '2'), row('missing', null, '1')]
    expect(outcomes({ checks, rows, before: [{}, {}, {}, {}] }).map(({ kind }) => kind)).toEqual([
      'missing',
      'cancelled',
      'postponed',
      'kept',
    ])
  })

  test('are of the order whose id the database writes in its own way', () => {
    const checks = [{ orderId: 'AB', deadline: DUE }]
    const rows = [row('cancelled', null, 'ab')]
    expect(outcomes({ checks, rows, canonical: (id) => id.toLowerCase() })).toMatchObject([{ kind: 'cancelled' }])
  })

  test('are of the order whose id is a number', () => {
    expect(outcomes({ rows: [row('cancelled', null, 7)] })).toMatchObject([{ kind: 'cancelled' }])
  })

  test('count the cancellation of an order that stands twice in the batch once', () => {
    const check = { orderId: '7', deadline: DUE }
    const kinds = outcomes({ checks: [check, check], rows: [row('cancelled')], before: [{}, {}] }).map(
      ({ kind }) => kind,
    )
    expect(kinds).toEqual(['cancelled', 'kept'])
  })

  test('have the deadline of the check where the order has none', () => {
    expect(outcomes({ rows: [row('cancelled')], before: [{ deadline: undefined }] })).toMatchObject([
      { evidence: { deadline: DUE } },
    ])
  })

  test('do not come of rows for orders that were not asked for', () => {
    expect(outcomes({ rows: [row('cancelled', null, '8')] })).toMatchObject([{ kind: 'postponed' }])
  })
})

test.each<[what: string, row: unknown]>([
  ['no id', { outcome: 'kept', until: null }],
  ['an id that is null', row('kept', null, null)],
  ['no outcome', { id: '7', until: null }],
  ['another outcome', row('paid')],
  ['no until', { id: '7', outcome: 'kept' }],
  ['an until that is text', row('postponed', '2030-01-01')],
  ['an until of -infinity', row('postponed', Number.NEGATIVE_INFINITY)],
  ['an invalid Date', row('postponed', new Date(Number.NaN))],
])('a row with %s is STORE_REJECTED, so that it is found by halving the batch', (_, bad) => {
  expect(() => outcomes({ rows: [bad] })).toThrow(
    expect.objectContaining({ code: 'STORE_REJECTED', message: expect.stringContaining('CANCEL_SQL_FILE') }),
  )
})
