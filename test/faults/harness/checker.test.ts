import { describe, expect, test } from '@jest/globals'
import type { Fact } from '../../../src/commands/demo/judge.ts'
import type { Holding } from '../../helpers/stock-shop.ts'
import { judgeRun } from './checker.ts'
import { brokenWords, historyOf, type StoredEvent, type StoredOrder, type Told } from './redis-witness.ts'
import { busiestSecond } from './run-case.ts'

/* The judge itself: a history in which all is well, and then one thing that is not. Times are milliseconds. */

const HEALED_AT = 1_000
const DEADLINE = 2_000

function placed(orderId: string): Fact {
  return { orderId, at: 0, what: 'placed', deadline: DEADLINE }
}

function cancelled(orderId: string, change: Partial<Fact> = {}): Fact {
  const fact = { orderId, at: DEADLINE + 50, decidedAt: DEADLINE + 40, what: 'cancelled' } as const
  return { ...fact, before: 'unpaid', deadline: DEADLINE, ...change }
}

/** The witness has seen neither what it was before nor its deadline. */
function unseen(orderId: string): Fact {
  return { orderId, at: DEADLINE + 50, what: 'cancelled' }
}

function paid(orderId: string): Fact {
  return { orderId, at: DEADLINE - 10, what: 'paid' }
}

function told(orderId: string): Fact {
  return { orderId, at: DEADLINE + 50, what: 'announced' }
}

function violations(history: Fact[], holdings: Holding[] = []): string[] {
  const known = new Set(['1'])
  return judgeRun({ history, holdings, healedAt: HEALED_AT, known, boundMs: 100, forgottenBoundMs: 1_000, now: 9_000 })
    .violations
}

describe('the judge', () => {
  test('finds nothing where nothing is wrong', () => {
    expect(violations([placed('1'), cancelled('1'), told('1')])).toEqual([])
  })

  test.each<[string, RegExp, Fact[]]>([
    ['a paid order cancelled', /^I1: order 1 /, [cancelled('1', { before: 'paid' }), told('1')]],
    ['an order paid and then cancelled', /^I1: order 1 /, [paid('1'), cancelled('1', { before: 'paid' }), told('1')]],
    ['an order paid and then cancelled that nobody saw', /^I1: .* paid$/, [paid('1'), unseen('1'), told('1')]],
    ['a cancelled order paid', /^I1: order 1 was paid although/, [cancelled('1'), told('1'), paid('1')]],
    ['a payment lost', /^I1: order 1 has lost/, [paid('1'), { ...paid('1'), what: 'payment-lost' }]],
    ['an order withdrawn and cancelled', /^I1: order 1 /, [cancelled('1', { before: 'withdrawn' }), told('1')]],
    ['an order cancelled early', /^I4: .* 1 ms before/, [cancelled('1', { decidedAt: DEADLINE - 1 }), told('1')]],
    ['an order cancelled twice', /^I3: .* 2 times/, [cancelled('1'), told('1'), cancelled('1')]],
    ['a cancellation without an event', /^I3: .* 0 events/, [cancelled('1')]],
    ['two events', /^I3: .* 2 events/, [cancelled('1'), told('1'), told('1')]],
    ['an event without a cancellation', /^I3: .* 1 events/, [told('1')]],
    ['a late cancellation', /^I2: .* 101 ms after/, [cancelled('1', { at: DEADLINE + 101 }), told('1')]],
    ['no cancellation', /^I2: order 1 is still unpaid/, []],
  ])('finds %s', (_what, message, rows) => {
    expect(violations([placed('1'), ...rows])).toContainEqual(expect.stringMatching(message))
  })

  test('gives an order that Redis does not know more time, and not for ever', () => {
    const late = (at: number) => violations([placed('2'), cancelled('2', { at: DEADLINE + at }), told('2')])
    expect(late(999)).toEqual([])
    expect(late(1_001)).toContainEqual(expect.stringMatching(/^I2: order 2/))
  })

  test('finds an event of an order that does not exist', () => {
    expect(violations([told('7')])).toEqual([expect.stringMatching(/^I3: an event reports order 7/)])
  })

  test('finds stock that was given back twice', () => {
    const holdings = [
      { what: 'chair free', held: 11, expected: 10 },
      { what: 'chair reserved', held: 2, expected: 2 },
    ]
    expect(violations([], holdings)).toEqual(['I3: 11 chair free, expected 10'])
  })

  test('finds an order late that was placed when all was well', () => {
    const late = { ids: new Set(['1']), boundMs: 50 }
    const history = [placed('1'), cancelled('1', { at: DEADLINE + 51 }), told('1')]
    const verdict = judgeRun({
      ...{ history, holdings: [], healedAt: HEALED_AT, known: new Set(['1']), late },
      ...{ boundMs: 100, forgottenBoundMs: 1_000, now: 9_000 },
    })
    expect(verdict.violations).toEqual([expect.stringMatching(/^I2: order 1 .* 51 ms .*, placed when all was well$/)])
    expect(verdict.recoveries).toEqual([])
  })
})

test('an order that cannot be cancelled may stay unpaid, and is not told of', () => {
  const judge = (...rows: Fact[]) =>
    judgeRun({
      ...{ history: [placed('1'), ...rows], holdings: [], healedAt: HEALED_AT, known: new Set(['1']) },
      ...{ boundMs: 100, forgottenBoundMs: 1_000, now: 9_000, rejects: () => true },
    }).violations
  expect(judge()).toEqual([])
  expect(judge(cancelled('1'), told('1'))).toHaveLength(2)
  expect(judge(told('1'))).toContainEqual('I3: order 1 was announced, and cannot be cancelled')
})

describe('what Redis has in the end', () => {
  /** Extended once, cancelled, and paid for too late. */
  const told: Told = { asked: [1_500, DEADLINE], extendedTo: DEADLINE, payment: 'refused' }
  const order: StoredOrder = { status: 'cancelled', deadline: DEADLINE, isPaid: false }
  const event: StoredEvent = { orderId: '1', type: 'order.cancelled', at: DEADLINE + 50 }
  const paid = { order: { ...order, status: 'paid', isPaid: true }, told: { ...told, payment: 'accepted' as const } }

  interface Change {
    told?: Told
    /** null: it is not there */
    order?: StoredOrder | null
    events?: StoredEvent[]
    index?: string[]
  }

  function found({ told: words = told, order: now = order, events = [event], index = [] }: Change): string[] {
    const evidence = { told: new Map([['1', words]]), stored: new Map(now ? [['1', now]] : []) }
    const broken = brokenWords({ ...evidence, scheduled: new Set(['1']), index })
    return [...violations(historyOf({ ...evidence, events })), ...broken]
  }

  test.each<[string, Change]>([
    ['cancelled', {}],
    ['paid', { ...paid, events: [] }],
    ['paid, with an answer that was lost', { order: paid.order, told: { asked: [DEADLINE] }, events: [] }],
    ['extended, with an answer that was lost', { told: { asked: [1_500, DEADLINE] } }],
  ])('may be an order %s', (_what, change) => {
    expect(found(change)).toEqual([])
  })

  test.each<[string, RegExp, Change]>([
    ['a paid order cancelled', /^I1: order 1 was cancelled/, { told: paid.told }],
    ['a paid order that is not recorded as paid', /^I1: order 1 is cancelled/, { told: paid.told }],
    ['a paid order with an event', /^I3: .* 0 times and has 1 events/, paid],
    ['a refused payment of an order that is paid', /^I1: order 1 is paid/, { order: paid.order, events: [] }],
    ['an order forgotten', /^I6: order 1 was scheduled/, { order: null, events: [] }],
    ['an order cancelled before its new deadline', /^I4: .* 1 ms/, { events: [{ ...event, at: DEADLINE - 1 }] }],
    ['an order that is not extended', /^I4: order 1 has the deadline/, { order: { ...order, deadline: 1_500 } }],
    ['an order cancelled twice', /^I3: .* 2 events/, { events: [event, event] }],
    ['a cancellation without an event', /^I3: .* 0 events/, { events: [] }],
    ['an order not cancelled', /^I2: order 1 is still unpaid/, { order: { ...order, status: 'pending' }, events: [] }],
    ['an order left in the index', /^I6: the index .* 1$/, { index: ['1'] }],
    ['an order missing in the index', /^I6: the index .* 1$/, { order: { ...order, status: 'pending' } }],
  ])('shows %s', (_what, message, change) => {
    expect(found(change)).toContainEqual(expect.stringMatching(message))
  })
})

describe('the busiest second', () => {
  const line = (ms: number, msg = 'batch settled') => ({ level: 'info', msg, time: new Date(ms).toISOString() })

  test('counts lines of every level, and none of a start or an end', () => {
    const second = [line(0), line(400), line(400, 'http started'), line(999), line(1_000), line(5_000, 'stopped')]
    expect(busiestSecond(second)).toEqual([line(0), line(400), line(999)])
  })

  test('does not count a second twice that a clock shows twice', () => {
    expect(busiestSecond([line(60_000), line(60_100), line(0), line(100), line(60_000)])).toHaveLength(2)
  })
})
