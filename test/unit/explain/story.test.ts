import { describe, expect, test } from '@jest/globals'
import { tellStory } from '../../../src/explain/story.ts'
import type { Holds } from '../../../src/explain/verdict.ts'
import type { Order } from '../../../src/order/order.ts'
import type { KeptEvent } from '../../../src/order/store.ts'
import type { CheckFacts } from '../../../src/queue/view/check-facts.ts'

const T = Date.parse('2026-11-25T10:00:00Z')
const LONG_AGO = Date.parse('2024-11-25T10:00:00Z')
const MINUTE = 60_000
const cancellation = { id: 'e', type: 'order.cancelled', at: T + 15 * MINUTE + 9 }
const iso = (ms: number) => new Date(ms).toISOString()

function check(facts: Partial<CheckFacts> = {}): CheckFacts {
  return {
    state: 'waiting',
    scheduledAt: T,
    deadline: T + 15 * MINUTE,
    dueAt: T + 15 * MINUTE,
    starts: 0,
    notes: [],
    ...facts,
  }
}
function order(facts: Partial<Order> = {}): Order {
  const { status = 'pending', paidAt } = facts
  const isUnpaid = status === 'pending' && paidAt === undefined
  return { orderId: 'a', status, isUnpaid, deadline: T + 15 * MINUTE, cancelledAt: undefined, ...facts }
}
function finished(outcome: 'cancelled' | 'kept' | 'missing', facts: object = {}): CheckFacts {
  const decidedAt = T + 15 * MINUTE + 7
  const evidence = { outcome, deadline: iso(T + 15 * MINUTE), decidedAt: iso(decidedAt), decidedBy: 'host:1', ...facts }
  return check({
    state: 'finished',
    starts: 1,
    startedAt: decidedAt - 3,
    finishedAt: decidedAt + 2,
    finished: evidence,
  })
}
const tell = (facts: { check?: CheckFacts; order?: Order; now?: number; events?: KeptEvent[]; holds?: Holds }) =>
  tellStory({
    events: facts.events,
    holds: facts.holds ?? {},
    orderId: 'a',
    now: facts.now ?? T + 20 * MINUTE,
    check: facts.check,
    order: facts.order,
  })

describe('the verdict', () => {
  test.each<[string, Parameters<typeof tell>[0], RegExp]>([
    [
      'cancelled',
      { check: finished('cancelled', { status: 'pending' }), order: order({ status: 'cancelled', cancelledAt: T }) },
      /^Cancelled 2026-11-25T10:15:00\.007Z, because it was still unpaid \(pending\) 7 ms after its payment deadline 2026-11-25T10:15:00\.000Z\.$/,
    ],
    [
      'cancelled, the check is gone',
      { order: order({ status: 'cancelled', cancelledAt: T + 15 * MINUTE }) },
      /^Cancelled 2026-11-25T10:15:00\.000Z; who cancelled it is no longer known\.$/,
    ],
    [
      'cancelled before its deadline',
      { order: order({ status: 'cancelled', cancelledAt: T + MINUTE }) },
      /before its payment deadline, so not by order-expiry\.$/,
    ],
    [
      'kept',
      { check: finished('kept', { status: 'pending', paid: true }), order: order() },
      /^Left alone: when its check came, .*, it was paid\.$/,
    ],
    [
      'kept and unpaid, as it is never due',
      { check: finished('kept', { status: 'pending' }), order: order({ deadline: undefined }) },
      /it was not to be cancelled \(status pending\) by its deadline, a condition or the shop's own statement\.$/,
    ],
    [
      'kept in another status',
      { check: finished('kept', { status: 'shipped' }), order: order({ status: 'shipped' }) },
      /it was no longer unpaid \(status shipped\)\.$/,
    ],
    [
      'paid',
      { order: order({ status: 'paid', paidAt: T + MINUTE }) },
      /^Paid 2026-11-25T10:01:00\.000Z, so it is never cancelled\.$/,
    ],
    [
      'given up',
      { check: check({ state: 'failed', failedReason: 'STORE_REJECTED: no' }), order: order() },
      /^Undecided: its check was given up \(STORE_REJECTED: no\)/,
    ],
    [
      'cancelled by a sweep, in a table without a time of it',
      { order: order({ status: 'cancelled' }), events: [cancellation] },
      /^Cancelled 2026-11-25T10:15:00\.009Z, by a sweep or a check of order-expiry that is no longer kept\.$/,
    ],
    [
      'unpaid again after it was cancelled',
      { order: order(), events: [cancellation] },
      /^Overdue: still unpaid \(pending\) 300 s after its payment deadline\.$/,
    ],
    [
      'overdue, and held back by the brake',
      { order: order(), holds: { brake: { reason: 'manual' } } },
      /300 s after its payment deadline: the brake is holding back all cancellations \(manual\)\.$/,
    ],
    [
      'to come, in a dry run',
      { order: order(), now: T, holds: { dryRun: true } },
      /^Waiting: it will be cancelled \S+Z if it is still unpaid, but nothing is cancelled while DRY_RUN is set\.$/,
    ],
    [
      'due in a queue that is paused',
      { order: order(), check: check({ state: 'due' }), holds: { isPaused: true } },
      /deadline: the queue is paused, so only the sweep cancels orders\.$/,
    ],
    ['missing', { check: finished('missing') }, /^Unknown to the order store when its check came/],
    ['unknown', {}, /^Unknown: neither the queue nor the order store has it\.$/],
    [
      'waiting',
      { check: check(), order: order(), now: T + MINUTE },
      /^Waiting: it will be cancelled 2026-11-25T10:15:00\.000Z if it is still unpaid\.$/,
    ],
    [
      'overdue',
      { check: check(), order: order(), now: T + 16 * MINUTE },
      /^Overdue: still unpaid \(pending\) 60 s after its payment deadline\.$/,
    ],
    [
      'of the backlog, which no sweep touches',
      { order: order({ deadline: LONG_AGO, setAside: 'backlog' }), holds: { dryRun: true } },
      /^Backlog: overdue since 2024-11-25T10:00:00\.000Z, more than a day before order-expiry first saw the table, so it is left alone until `order-expiry sweep --backlog`\.$/,
    ],
    [
      'of the backlog, with a check that somebody has added on purpose',
      { order: order({ deadline: LONG_AGO, setAside: 'backlog' }), check: check({ state: 'due' }) },
      /^Overdue: still unpaid \(pending\) \d+ min after its payment deadline\.$/,
    ],
    [
      'of the backlog, whose check was given up',
      { order: order({ deadline: LONG_AGO, setAside: 'backlog' }), check: check({ state: 'failed' }) },
      /^Undecided: its check was given up/,
    ],
    [
      'with an unreadable deadline',
      { order: order({ deadline: Date.parse('0001-01-01'), setAside: 'unreadable' }) },
      /^Set aside: its deadline 0001-01-01T00:00:00\.000Z cannot be meant \(before 2001\), so it is never cancelled until that is corrected\.$/,
    ],
    [
      'with the deadline -infinity, and a check that was given up for it',
      { order: order({ deadline: -8.64e15, setAside: 'unreadable' }), check: check({ state: 'failed' }) },
      /^Set aside: its deadline -infinity cannot be meant/,
    ],
    [
      'with a deadline that is no time',
      { order: order({ deadline: undefined, setAside: 'unreadable' }) },
      /^Set aside: its deadline cannot be meant/,
    ],
    [
      'paid, with an unreadable deadline',
      { order: order({ status: 'paid', paidAt: T, setAside: 'unreadable' }) },
      /^Paid 2026-11-25T10:00:00\.000Z, so it is never cancelled\.$/,
    ],
    [
      'without a deadline',
      { order: order({ deadline: undefined }) },
      /^Unpaid \(pending\), without a payment deadline\.$/,
    ],
    [
      'paid, without a time',
      { check: check(), order: order({ status: 'paid' }), now: T + MINUTE },
      /^No longer unpaid: its status is paid/,
    ],
    [
      'withdrawn',
      { order: order({ status: 'withdrawn' }), now: T + MINUTE },
      /^No longer unpaid: its status is withdrawn/,
    ],
    [
      'given up, then paid',
      { check: check({ state: 'failed' }), order: order({ status: 'paid' }) },
      /^No longer unpaid/,
    ],
    [
      'unknown to the store, check to come',
      { check: check(), now: T + MINUTE },
      /^Unknown to the order store; its check is due 2026-11-25T10:15/,
    ],
    ['unknown to the store, check due', { check: check() }, /^Unknown to the order store; its check is due now\.$/],
  ])('%s', (_, facts, verdict) => {
    const story = tell(facts)
    expect(story.verdict).toMatch(verdict)
    expect(story.isKnown).toBe(Boolean(facts.check ?? facts.order))
  })
})

test('the lines are in order of time, with what was written down on the way', () => {
  const notes = [
    { at: T + 15 * MINUTE + 1, what: 'check postponed by 500 ms: locked' },
    { at: T + 2 * MINUTE, what: 'deadline moved' },
  ]
  const { lines } = tell({
    check: { ...finished('cancelled', { status: 'pending' }), starts: 2, scheduledBy: 'shop', notes },
    order: order({ status: 'cancelled', cancelledAt: T + 15 * MINUTE + 7 }),
  })
  expect(lines.map(({ at, what }) => [at === undefined ? undefined : at - T, what])).toEqual([
    [0, 'check scheduled by shop'],
    [2 * MINUTE, 'deadline moved'],
    [15 * MINUTE, 'payment deadline'],
    [15 * MINUTE + 1, 'check postponed by 500 ms: locked'],
    [15 * MINUTE + 4, 'check begun, for the 2nd time'],
    [15 * MINUTE + 7, 'decided by host:1: cancelled, the store said: status pending'],
    [15 * MINUTE + 7, 'cancelled, according to the order store'],
    [20 * MINUTE, 'now: status cancelled, according to the order store'],
  ])
})

test('what is not known is said, not left out', () => {
  const whats = (facts: Parameters<typeof tell>[0]) => tell(facts).lines.map(({ what }) => what)
  expect(whats({ order: order() })[0]).toMatch(/^the queue has no check under our id for it/)
  expect(whats({ check: check() })).toContain('now: the order store has no such order')
  expect(whats({ check: check({ starts: 1, startedAt: T, state: 'failed', finishedAt: T + 1 }) })).toContain(
    'check given up: no reason was recorded',
  )
})
