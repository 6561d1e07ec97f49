import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import type { VerdictCode } from '../../../src/explain/answer.ts'
import type { OrderFacts } from '../../../src/explain/facts.ts'
import {
  describeMissing,
  type ExplainSources,
  explainOrder,
  storyJsonOf,
  tellStory,
} from '../../../src/explain/story.ts'
import type { Order } from '../../../src/order/order.ts'
import type { SinkDelivery } from '../../../src/order/outbox.ts'
import type { KeptEvent } from '../../../src/order/store.ts'
import type { SweepNote } from '../../../src/queue/sweep-notes.ts'
import type { CheckFacts } from '../../../src/queue/view/check-facts.ts'
import { systemClock } from '../../../src/runtime/clock.ts'

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
    attempts: 0,
    jobId: 'order-a',
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
type Told = Partial<OrderFacts> & { check?: CheckFacts }
const tell = ({ check: only, ...facts }: Told) =>
  tellStory({
    orderId: 'a',
    now: T + 20 * MINUTE,
    checks: only ? [only] : [],
    swept: [],
    order: undefined,
    cancelledStatus: 'cancelled',
    ...facts,
  })
const swept = (facts: Partial<SweepNote>) => ({ at: iso(T + 16 * MINUTE), by: 'host:2', ...facts }) as SweepNote
const sweptAway = swept({ ...finished('cancelled', { status: 'pending', decidedBy: 'host:2' }).finished })
const AWAY = {
  queue: new OrderExpiryError('REDIS_UNAVAILABLE', 'x'),
  store: new OrderExpiryError('STORE_UNAVAILABLE', 'x'),
}

describe('the verdict', () => {
  test.each<[string, Told, RegExp, VerdictCode]>([
    [
      'cancelled',
      { check: finished('cancelled', { status: 'pending' }), order: order({ status: 'cancelled', cancelledAt: T }) },
      /^Cancelled at 2026-11-25T10:15:00\.007Z, because it was still unpaid \(pending\) 7 ms after its payment deadline of 2026-11-25T10:15:00\.000Z\.$/,
      'CANCELLED_BY_CHECK',
    ],
    [
      'cancelled, the check is gone',
      { order: order({ status: 'cancelled', cancelledAt: T + 15 * MINUTE }) },
      /^Cancelled at 2026-11-25T10:15:00\.000Z; who cancelled it is no longer known\.$/,
      'CANCELLED_BY_UNKNOWN',
    ],
    [
      'cancelled before its deadline',
      { order: order({ status: 'cancelled', cancelledAt: T + MINUTE }) },
      /before its payment deadline, so not by order-expiry\.$/,
      'CANCELLED_BY_OTHERS',
    ],
    [
      'kept',
      { check: finished('kept', { status: 'pending', paid: true }), order: order({ paidAt: T }) },
      /^Left alone: when its check came, at \S+Z, it was paid\.$/,
      'KEPT',
    ],
    [
      'kept and unpaid, as it is never due',
      { check: finished('kept', { status: 'pending' }), order: order({ deadline: undefined }) },
      /it was not to be cancelled \(status pending\) by its deadline, a condition or the shop's own statement\.$/,
      'KEPT_UNPAID',
    ],
    [
      'kept in another status',
      { check: finished('kept', { status: 'shipped' }), order: order({ status: 'shipped' }) },
      /it was no longer unpaid \(status shipped\)\.$/,
      'KEPT',
    ],
    [
      'paid',
      { order: order({ status: 'paid', paidAt: T + MINUTE }) },
      /^Paid at 2026-11-25T10:01:00\.000Z, so it is never cancelled\.$/,
      'PAID',
    ],
    [
      'given up',
      { check: check({ state: 'failed', failedReason: 'STORE_REJECTED: no' }), order: order() },
      /^Undecided: its check was given up \(STORE_REJECTED: no\)/,
      'CHECK_GIVEN_UP',
    ],
    [
      'cancelled by a sweep, in a table without a time of it',
      { order: order({ status: 'cancelled' }), events: [cancellation] },
      /^Cancelled at 2026-11-25T10:15:00\.009Z, by a sweep or a check of order-expiry that is no longer kept\.$/,
      'CANCELLED_BY_ORDER_EXPIRY',
    ],
    [
      'unpaid again after it was cancelled',
      { order: order(), events: [cancellation] },
      /^Overdue: still unpaid \(pending\) 300 s after its payment deadline\.$/,
      'OVERDUE',
    ],
    [
      'overdue, and held back by the brake',
      { order: order(), holds: { brake: { reason: 'manual' } } },
      /300 s after its payment deadline: the brake is holding back all cancellations \(manual\)\.$/,
      'BRAKE_ENGAGED',
    ],
    [
      'to come, in a dry run',
      { order: order(), now: T, holds: { dryRun: true } },
      /^Waiting: it will be cancelled at \S+Z if it is still unpaid, but nothing is cancelled while DRY_RUN is set\.$/,
      'WAITING',
    ],
    [
      'due in a queue that is paused',
      { order: order(), check: check({ state: 'due' }), holds: { isPaused: true } },
      /deadline: the queue is paused, so only the sweep cancels orders\.$/,
      'QUEUE_PAUSED',
    ],
    ['missing', { check: finished('missing') }, /^Unknown to the order store when its check came/, 'MISSING'],
    ['unknown', {}, /^Unknown: the queue has nothing of it, and the order store does not have it\.$/, 'UNKNOWN'],
    [
      'unknown, as far as some jobs of many were looked at',
      { looked: { jobs: 750, of: 7_636 } },
      /no check under our id for it, nor a job of it among the 750 of 7,636 that were looked at, and the order store/,
      'UNKNOWN',
    ],
    [
      'unknown, though all jobs were looked at',
      { looked: { jobs: 3, of: 3 } },
      /^Unknown: the queue has nothing of it, and/,
      'UNKNOWN',
    ],
    [
      'locked, which sweeps note once',
      { order: order(), swept: [swept({ why: 'locked' })] },
      /another transaction had locked its row in the sweeps since 2026-11-25T10:16:00\.000Z\.$/,
      'LOCKED',
    ],
    [
      'waiting',
      { check: check(), order: order(), now: T + MINUTE },
      /^Waiting: it will be cancelled at 2026-11-25T10:15:00\.000Z if it is still unpaid\.$/,
      'WAITING',
    ],
    [
      'overdue',
      { check: check(), order: order(), now: T + 16 * MINUTE },
      /^Overdue: still unpaid \(pending\) 60 s after its payment deadline\.$/,
      'OVERDUE',
    ],
    [
      'of the backlog, which no sweep touches',
      { order: order({ deadline: LONG_AGO, setAside: 'backlog' }), holds: { dryRun: true } },
      /^Backlog: overdue since 2024-11-25T10:00:00\.000Z, more than a day before order-expiry first saw the table, so it is left alone until `order-expiry sweep --backlog`\.$/,
      'BACKLOG',
    ],
    [
      'of the backlog, with a check that somebody has added on purpose',
      { order: order({ deadline: LONG_AGO, setAside: 'backlog' }), check: check({ state: 'due' }) },
      /^Overdue: still unpaid \(pending\) \d+\.\d days after its payment deadline\.$/,
      'OVERDUE',
    ],
    [
      'of the backlog, whose check was given up',
      { order: order({ deadline: LONG_AGO, setAside: 'backlog' }), check: check({ state: 'failed' }) },
      /^Undecided: its check was given up/,
      'CHECK_GIVEN_UP',
    ],
    [
      'with an unreadable deadline',
      { order: order({ deadline: Date.parse('0001-01-01'), setAside: 'unreadable' }) },
      /^Set aside: its deadline 0001-01-01T00:00:00\.000Z cannot be meant \(before 2001\), so it is never cancelled until that is corrected\.$/,
      'UNREADABLE_DEADLINE',
    ],
    [
      'with the deadline -infinity, and a check that was given up for it',
      { order: order({ deadline: -8.64e15, setAside: 'unreadable' }), check: check({ state: 'failed' }) },
      /^Set aside: its deadline -infinity cannot be meant/,
      'UNREADABLE_DEADLINE',
    ],
    [
      'with a deadline that is no time',
      { order: order({ deadline: undefined, setAside: 'unreadable' }) },
      /^Set aside: its deadline cannot be meant/,
      'UNREADABLE_DEADLINE',
    ],
    [
      'paid, with an unreadable deadline',
      { order: order({ status: 'paid', paidAt: T, setAside: 'unreadable' }) },
      /^Paid at 2026-11-25T10:00:00\.000Z, so it is never cancelled\.$/,
      'PAID',
    ],
    [
      'without a deadline',
      { order: order({ deadline: undefined }) },
      /^Unpaid \(pending\), without a payment deadline\.$/,
      'NO_DEADLINE',
    ],
    [
      'paid, without a time',
      { check: check(), order: order({ status: 'paid' }), now: T + MINUTE },
      /^No longer unpaid: its status is paid/,
      'NO_LONGER_UNPAID',
    ],
    [
      'withdrawn',
      { order: order({ status: 'withdrawn' }), now: T + MINUTE },
      /^No longer unpaid: its status is withdrawn/,
      'WITHDRAWN',
    ],
    [
      'given up, then paid',
      { check: check({ state: 'failed' }), order: order({ status: 'paid' }) },
      /^No longer unpaid/,
      'NO_LONGER_UNPAID',
    ],
    [
      'unknown to the store, check to come',
      { check: check(), now: T + MINUTE },
      /^Unknown to the order store; its check is due at 2026-11-25T10:15/,
      'MISSING',
    ],
    [
      'unknown to the store, check due',
      { check: check() },
      /^Unknown to the order store; its check is due now\.$/,
      'MISSING',
    ],
    [
      'cancelled by a sweep, whose evidence is that of a check',
      { swept: [sweptAway], order: order({ status: 'cancelled' }) },
      /^Cancelled at 2026-11-25T10:15:00\.007Z by a sweep, because it was still unpaid \(pending\) 7 ms after its payment deadline of 2026-11-25T10:15:00\.000Z\.$/,
      'CANCELLED_BY_SWEEP',
    ],
    [
      'cancelled by a sweep, and a check has found it so later',
      { swept: [sweptAway], check: finished('kept', { status: 'cancelled' }), order: order({ status: 'cancelled' }) },
      /^Cancelled .* by a sweep/,
      'CANCELLED_BY_SWEEP',
    ],
    [
      'cancelled by the check of another job than ours',
      {
        checks: [
          finished('kept', { status: 'cancelled' }),
          { ...finished('cancelled', { status: 'pending' }), jobId: '17' },
        ],
        order: order({ status: 'cancelled', cancelledAt: T + 15 * MINUTE + 7 }),
      },
      /^Cancelled at \S+Z, because it was still unpaid/,
      'CANCELLED_BY_CHECK',
    ],
    [
      'paid after it was cancelled',
      { swept: [sweptAway], order: order({ status: 'paid', paidAt: T + 18 * MINUTE }) },
      /^Cancelled at 2026-11-25T10:15:00\.007Z, and paid afterwards \(the row says 2026-11-25T10:18:00\.000Z\)/,
      'PAID_AFTER_CANCELLATION',
    ],
    [
      'paid after it was cancelled, and opened again',
      {
        swept: [sweptAway],
        order: order({ status: 'paid', paidAt: T + 18 * MINUTE }),
        events: [{ id: 'e', type: 'order.paid_late', at: T + 19 * MINUTE, reopened: true }],
      },
      /^Cancelled at \S+Z, and paid afterwards .*; REOPEN_SQL_FILE has opened it again\.$/,
      'REOPENED',
    ],
    [
      'changed after it was cancelled',
      { check: finished('cancelled', { status: 'pending' }), order: order({ status: 'shipped' }) },
      /^Cancelled at \S+Z; somebody has changed it since: its status is shipped\.$/,
      'CHANGED_AFTER_CANCELLATION',
    ],
    [
      'unpaid again after a check has cancelled it',
      { check: finished('cancelled', { status: 'pending' }), order: order() },
      /^Overdue: still unpaid/,
      'OVERDUE',
    ],
    [
      'paid late, before anything cancelled it',
      { order: order({ status: 'paid', paidAt: T + 16 * MINUTE }) },
      /^Paid at 2026-11-25T10:16:00\.000Z, so it is never cancelled\.$/,
      'PAID_LATE',
    ],
    [
      'rejected by a trigger, of which only sweeps know',
      { order: order(), swept: [swept({ why: 'STORE_REJECTED', message: 'no_stock says no' })] },
      /^Overdue: .* deadline: the order store rejected its cancellation in the sweeps since 2026-11-25T10:16:00\.000Z: no_stock says no\.$/,
      'REJECTED',
    ],
    [
      'rejected by a trigger, its check to be tried again',
      {
        order: order(),
        check: check({
          failedReason: 'STORE_REJECTED: no_stock says no',
          notes: [{ at: T + 16 * MINUTE, code: 'CHECK_RETRIED', what: 'check failed, again in 9 ms: STORE_REJECTED' }],
        }),
      },
      /rejected its cancellation when it was last tried, at \S+Z: no_stock says no\.$/,
      'REJECTED',
    ],
    [
      'locked',
      {
        order: order(),
        check: check({
          notes: [{ at: T + 16 * MINUTE, code: 'CHECK_POSTPONED', what: 'check postponed by 9 ms: locked' }],
        }),
      },
      /another transaction had locked its row when it was last tried, at 2026-11-25T10:16:00\.000Z\.$/,
      'LOCKED',
    ],
    [
      'rejected at first, and locked when it was last tried',
      { order: order(), swept: [swept({ why: 'STORE_REJECTED' }), swept({ why: 'locked', at: iso(T + 17 * MINUTE) })] },
      /locked its row/,
      'LOCKED',
    ],
    [
      'held back once by a brake that has been released',
      { order: order(), swept: [swept({ why: 'brake' })] },
      /^Overdue: still unpaid \(pending\) 300 s after its payment deadline\.$/,
      'OVERDUE',
    ],
    [
      'held back by a brake that cannot be read',
      { order: order(), holds: { brake: { isUnknown: true } } },
      /nothing is cancelled, because the state of the brake cannot be read\.$/,
      'BRAKE_UNKNOWN',
    ],
    ['overdue, in a dry run', { order: order(), holds: { dryRun: true } }, /DRY_RUN is set\.$/, 'DRY_RUN'],
    [
      'due by our clock, and not by that of the order store',
      { order: order(), now: T + 14 * MINUTE, storeAheadMs: -2 * MINUTE },
      /^Waiting: .*, by the clock of the order store, which is 120\.0 s behind that of this machine\.$/,
      'CLOCKS_DIFFER',
    ],
    [
      'due just now',
      { order: order(), now: T + 15 * MINUTE + 400 },
      /^Due: still unpaid \(pending\) 400 ms after its payment deadline; its check or the next sweep is about to cancel it\.$/,
      'DUE',
    ],
    [
      'cancelled, as far as the queue knows while the store is away',
      { check: finished('cancelled', { status: 'pending' }), missing: { store: AWAY.store } },
      /^Cancelled .*\. What has become of it since is not known\.$/,
      'CANCELLED_BY_CHECK',
    ],
    [
      'to be checked, while the store is away',
      { check: check(), now: T, missing: { store: AWAY.store } },
      /^Waiting: its check is due at 2026-11-25T10:15:00\.000Z; whether it is still unpaid is not known while the order store cannot be asked\.$/,
      'WAITING',
    ],
    [
      'of which the queue knows nothing, while the store is away',
      { missing: { store: AWAY.store } },
      /^Unknown: the queue has nothing of it, and the order store cannot be asked\.$/,
      'UNKNOWN',
    ],
    [
      'cancelled, while Redis is away',
      { order: order({ status: 'cancelled', cancelledAt: T + 16 * MINUTE }), missing: { queue: AWAY.queue } },
      /^Cancelled at \S+Z; who cancelled it cannot be told while Redis cannot be asked\.$/,
      'CANCELLED_BY_UNKNOWN',
    ],
    [
      'overdue, while Redis is away',
      { order: order(), missing: { queue: AWAY.queue } },
      /^Overdue: .*; what keeps it from being cancelled cannot be told while Redis cannot be asked\.$/,
      'OVERDUE',
    ],
    [
      'unknown to the store, while Redis is away',
      { missing: { queue: AWAY.queue } },
      /^Unknown: the order store has no such order\.$/,
      'UNKNOWN',
    ],
  ])('%s', (_, facts, text, code) => {
    const story = tell(facts)
    expect(story.verdict).toMatchObject({ code, text: expect.stringMatching(text) })
    expect(story.isKnown).toBe(Boolean(facts.check ?? facts.checks ?? facts.swept ?? facts.order))
  })
})

const foundCancelled = finished('kept', { status: 'cancelled' })
const later = { decidedAt: iso(T + 16 * MINUTE) }
const cancelled = (facts: Partial<Order> = {}) => order({ status: 'cancelled', isUnpaid: false, ...facts })

describe('an order with the status of the cancelled ones is cancelled, though nothing tells when', () => {
  const UNKNOWN = 'CANCELLED_BY_UNKNOWN'
  const OTHERS = 'CANCELLED_BY_OTHERS'
  const noIdea = /^Cancelled; when and by whom is no longer known\.$/
  test.each<[string, Told, VerdictCode, RegExp]>([
    ['nothing else is known', {}, UNKNOWN, noIdea],
    ['its check is to come', { check: check(), now: T + MINUTE }, UNKNOWN, noIdea],
    ['its check was given up', { check: check({ state: 'failed' }) }, UNKNOWN, noIdea],
    ['its check knew no such order', { check: finished('missing') }, UNKNOWN, noIdea],
    ['its check left it shipped', { check: finished('kept', { status: 'shipped' }) }, UNKNOWN, noIdea],
    ['in a dry run', { swept: [swept({ why: 'dry-run' })], holds: { dryRun: true } }, UNKNOWN, noIdea],
    [
      'its check found it so',
      { check: foundCancelled },
      OTHERS,
      /^Cancelled, but not by order-expiry: when its check came, at \S+Z, its status was cancelled already\.$/,
    ],
    ['its check found it so when it came again', { check: { ...foundCancelled, starts: 2 } }, UNKNOWN, noIdea],
    [
      'its check found it so after sweeps',
      { check: finished('kept', { status: 'cancelled', ...later }) },
      UNKNOWN,
      noIdea,
    ],
    ['a sweep found it so', { swept: [swept({ ...foundCancelled.finished })] }, UNKNOWN, noIdea],
    [
      'its check found it paid, and no payment is left',
      { check: finished('kept', { status: 'paid', paid: true }) },
      OTHERS,
      /when its check came, at \S+Z, it was paid\.$/,
    ],
    [
      'paid after its deadline',
      { order: cancelled({ paidAt: T + 16 * MINUTE }) },
      UNKNOWN,
      /^Cancelled, and paid at 2026-11-25T10:16:00\.000Z, after its payment deadline; which came first is not known\.$/,
    ],
    [
      'while Redis is away',
      { missing: { queue: AWAY.queue } },
      UNKNOWN,
      /^Cancelled; when and by whom cannot be told while Redis cannot be asked\.$/,
    ],
    [
      'its check found it so, while the store is away',
      { order: undefined, check: foundCancelled, missing: { store: AWAY.store } },
      OTHERS,
      /already\. What has become of it since is not known\.$/,
    ],
    [
      'its check found it so, and its row is gone',
      { order: undefined, check: foundCancelled },
      OTHERS,
      /already\. The order store no longer has it\.$/,
    ],
    ['filled up with blanks', { order: cancelled({ status: 'cancelled  ' }) }, UNKNOWN, noIdea],
    ['in a column that knows no upper case', { order: cancelled({ status: 'Cancelled' }) }, UNKNOWN, noIdea],
    ['a number', { order: cancelled({ status: '4' }), cancelledStatus: '4' }, UNKNOWN, noIdea],
    ['true', { order: cancelled({ status: 'true' }), cancelledStatus: 'true' }, UNKNOWN, noIdea],
  ])('%s', (_, facts, code, text) => {
    const { verdict } = tell({ order: cancelled(), ...facts })
    expect(verdict).toMatchObject({ outcome: 'cancelled', code, text: expect.stringMatching(text) })
  })

  test.each<[string, Told]>([
    ['unless it was paid in time: a shop may give paid orders the same', { order: cancelled({ paidAt: T + MINUTE }) }],
    [
      'nor if its check found it paid',
      { order: cancelled({ paidAt: T }), check: finished('kept', { status: 'cancelled', paid: true }) },
    ],
  ])('%s', (_, facts) => {
    const text = expect.stringMatching(/^Paid at \S+Z, so it was not order-expiry that made its status cancelled\.$/)
    expect(tell(facts).verdict).toMatchObject({ code: 'PAID', text })
  })
})

describe('what has become of an order since it was cancelled is told without evidence too', () => {
  const [before, after] = [{ paidAt: T + MINUTE }, { paidAt: T + 18 * MINUTE }]
  const event = { events: [cancellation] }
  test.each<[string, Told, VerdictCode]>([
    ['paid, says the event', { order: order({ status: 'paid', ...after }), ...event }, 'PAID_AFTER_CANCELLATION'],
    ['shipped, says the event', { order: order({ status: 'shipped' }), ...event }, 'CHANGED_AFTER_CANCELLATION'],
    ['gone, says the event', event, 'CANCELLED_BY_ORDER_EXPIRY'],
    ['paid, says the row', { order: cancelled({ cancelledAt: T + 16 * MINUTE, ...after }) }, 'PAID_AFTER_CANCELLATION'],
    [
      'paid before, says the row',
      { order: cancelled({ cancelledAt: T + 16 * MINUTE, ...before }) },
      'CANCELLED_BY_OTHERS',
    ],
    ['nothing, says the row', { order: cancelled({ cancelledAt: T + 16 * MINUTE }) }, 'CANCELLED_BY_UNKNOWN'],
  ])('%s', (_, facts, code) => {
    expect(tell(facts).verdict).toMatchObject({ outcome: 'cancelled', code })
  })
})

test('a row that its check found no longer unpaid, and that is gone, was not unknown then', () => {
  const { text } = tell({ check: finished('kept', { status: 'paid' }) }).verdict
  expect(text).toMatch(
    /^Left alone: when its check came, at \S+Z, it was no longer unpaid \(paid\)\. .* no longer has it\.$/,
  )
})

describe('orders without a status', () => {
  const closed = order({ status: '', isUnpaid: false })
  test.each<[string, Told, VerdictCode, RegExp]>([
    [
      'cancelled',
      { check: finished('cancelled', { status: '' }), order: closed },
      'CANCELLED_BY_CHECK',
      /because it was still unpaid 7 ms after/,
    ],
    ['over, and nobody knows why', { order: closed }, 'UNKNOWN', /^No longer unpaid: whether it was paid or cancelled/],
    ['over when its check came', { check: finished('kept', { status: '' }), order: closed }, 'UNKNOWN', /paid or/],
    ['paid', { order: { ...closed, paidAt: T } }, 'PAID', /^Paid at/],
    ['overdue', { order: { ...closed, isUnpaid: true } }, 'OVERDUE', /^Overdue: still unpaid 300 s after/],
  ])('%s', (_, facts, code, text) => {
    const { verdict, events } = tell({ cancelledStatus: undefined, ...facts })
    expect(verdict).toMatchObject({ code, text: expect.stringMatching(text) })
    expect(events.map((event) => event.text).join()).not.toMatch(/: status ?(,|$)/)
  })
})

test('nobody promises a sweep where none cancels: without a deadline in the table, or what holds it unknown', () => {
  const due = { now: T + 15 * MINUTE + 400 }
  const ofJob = { order: order({ deadline: undefined }), check: check({ state: 'due' }) }
  expect(tell({ ...ofJob, ...due }).verdict.text).toMatch(/deadline; its check is about to cancel it\.$/)
  expect(tell({ ...ofJob, holds: { isPaused: true } }).verdict.text).toMatch(/paused, so its check does not begin\.$/)
  for (const now of [due.now, T + 20 * MINUTE]) {
    const { text, next } = tell({ order: order(), missing: { queue: AWAY.queue }, now }).verdict
    expect(`${text} ${next}`).not.toMatch(/sweep|about to/)
  }
})

test('the events are in order of time, each with its code', () => {
  const { events } = tell({
    check: {
      ...finished('cancelled', { status: 'pending' }),
      starts: 2,
      scheduledBy: 'shop',
      notes: [
        { at: T + 15 * MINUTE + 1, code: 'CHECK_POSTPONED', what: 'check postponed by 500 ms: locked' },
        { at: T + 2 * MINUTE, code: 'DEADLINE_MOVED', what: 'deadline moved' },
      ],
    },
    swept: [swept({ why: 'brake', at: iso(T + 15 * MINUTE + 2) })],
    order: order({ status: 'cancelled', cancelledAt: T + 15 * MINUTE + 7 }),
  })
  expect(events.map(({ at, code, text }) => [at === undefined ? undefined : at - T, code, text])).toEqual([
    [0, 'CHECK_SCHEDULED', 'check scheduled by shop'],
    [2 * MINUTE, 'DEADLINE_MOVED', 'deadline moved'],
    [15 * MINUTE, 'DEADLINE', 'payment deadline'],
    [15 * MINUTE + 1, 'CHECK_POSTPONED', 'check postponed by 500 ms: locked'],
    [15 * MINUTE + 2, 'SWEEP_LEFT', 'left unpaid by a sweep of host:2: the brake held it back'],
    [15 * MINUTE + 4, 'CHECK_BEGUN', 'check begun, for the 2nd time'],
    [15 * MINUTE + 7, 'CHECK_DECIDED', 'decided by host:1: cancelled, the store said: status pending'],
    [15 * MINUTE + 7, 'CANCELLED', 'cancelled, according to the order store'],
    [20 * MINUTE, 'STATUS', 'now: status cancelled, according to the order store'],
  ])
})

test('what is not known is said, not left out', () => {
  const texts = (facts: Told) => tell(facts).events.map(({ text }) => text)
  expect(texts({ order: order() })[0]).toMatch(/^the queue has no check under our id for it/)
  expect(texts({ order: order(), looked: { jobs: 1_250, of: 100_000 } })[0]).toMatch(
    /; of the 100,000 jobs of the queue, 1,250 were looked at for one under another id$/,
  )
  expect(texts({ check: check() })).toContain('now: the order store has no such order')
  expect(texts({ check: check({ starts: 1, startedAt: T, state: 'failed', finishedAt: T + 1 }) })).toContain(
    'check given up: no reason was recorded',
  )
  const half = tell({ check: check(), missing: { store: AWAY.store } })
  expect(half.events.map(({ code }) => code)).toEqual(['CHECK_SCHEDULED', 'CHECK_DUE', 'DEADLINE'])
  expect(storyJsonOf(half).missing).toEqual([
    { part: 'store', code: 'STORE_UNAVAILABLE', text: expect.stringMatching(/^Half of this story is missing/) },
  ])
})

test('each part that cannot be asked is said, and no other', async () => {
  const refused = new OrderExpiryError('REDIS_REFUSED', 'x')
  const explain = (failing: (keyof ExplainSources['view'] | 'find')[]) => {
    const answer = <T>(name: (typeof failing)[number], value: T) =>
      failing.includes(name) ? Promise.reject(name === 'find' ? AWAY.store : refused) : Promise.resolve(value)
    return explainOrder({
      orderId: 'a',
      sources: {
        view: {
          recordsOf: () => answer('recordsOf', { checks: [], swept: [sweptAway] }),
          lookFor: () => answer('lookFor', { checks: [], looked: { jobs: 0, of: 0 } }),
          holds: () => answer('holds', { isPaused: false }),
        },
        store: { find: () => answer('find', [order({ status: 'cancelled' })]) },
        cancelledStatus: 'cancelled',
        clockOffsets: { store: 0 },
        sinks: [],
        dryRun: false,
        clock: systemClock,
      },
    })
  }
  const told = async (...failing: Parameters<typeof explain>[0]) => {
    const { verdict, missing } = await explain(failing)
    return [verdict.code, ...describeMissing(missing).map(({ text }) => text)]
  }
  const holds =
    'A part of this story is missing, because Redis cannot be asked now (REDIS_REFUSED): whether the brake or a pause holds it back.'
  const checks =
    'Half of this story is missing, because Redis cannot be asked now (REDIS_REFUSED): what its check and the sweeps did'
  const store = expect.stringMatching(/^Half of .* the order store cannot be asked now/)
  expect(await told('holds')).toEqual(['CANCELLED_BY_SWEEP', holds])
  expect(await told('holds', 'find')).toEqual(['CANCELLED_BY_SWEEP', holds, store])
  expect(await told('recordsOf')).toEqual(['CANCELLED_BY_UNKNOWN', `${checks}.`])
  expect(await told('recordsOf', 'holds')).toEqual([
    'CANCELLED_BY_UNKNOWN',
    `${checks}, and whether the brake or a pause holds it back.`,
  ])
  await expect(explain(['recordsOf', 'find'])).rejects.toThrow(refused)
})

test('a check is to come until its time has passed; then it is due, though nobody has begun it', () => {
  const codeAt = (now: number) => tell({ check: check(), order: order(), now }).events.map(({ code }) => code)
  expect(codeAt(T + 15 * MINUTE - 1)).toContain('CHECK_TO_COME')
  expect(codeAt(T + 15 * MINUTE)).toContain('CHECK_DUE')
  expect(codeAt(T + 15 * MINUTE)).not.toContain('CHECK_TO_COME')
})

test('the deadline is told without the order store, by whoever else has written it down', () => {
  const half = tell({ swept: [sweptAway], missing: { store: AWAY.store } })
  expect(half.events).toContainEqual({ at: T + 15 * MINUTE, code: 'DEADLINE', text: 'payment deadline' })
})

test('as JSON it says what, why, when and by whom, for machines', () => {
  const told = storyJsonOf(tell({ swept: [sweptAway], order: order({ status: 'cancelled' }) }))
  expect(told).toMatchObject({
    orderId: 'a',
    outcome: 'cancelled',
    code: 'CANCELLED_BY_SWEEP',
    deadline: '2026-11-25T10:15:00.000Z',
    decidedAt: '2026-11-25T10:15:00.007Z',
    decidedBy: 'host:2',
    lateMs: 7,
    missing: [],
  })
  const unreadable = storyJsonOf(tell({ order: order({ deadline: -8.64e15, setAside: 'unreadable' }) }))
  expect(unreadable).not.toHaveProperty('deadline')
  expect(unreadable.next).toBe('Correct the deadline of its row.')
})

test('what became of an event at each receiver is told, when and why', () => {
  const textsOf = (deliveries: SinkDelivery[], readers?: KeptEvent['readers']) => {
    const event = { ...cancellation, deliveries, ...(readers && { readers }) }
    const { events } = tell({ order: order({ status: 'cancelled' }), events: [event], now: T + 60 * MINUTE })
    return events
      .filter(({ code }) => /^EVENT_(?!WRITTEN)/.test(code))
      .map(({ at, code, text }) => [code, at === undefined ? undefined : (at - T) / MINUTE, text])
  }
  const at = T + 20 * MINUTE
  const why = 'answered 500'
  expect(
    textsOf([
      { sink: 'stream', state: 'delivered', at, failures: 0 },
      { sink: 'queue', state: 'delivered', failures: 0 },
      { sink: 'webhook', state: 'given-up', at, failures: 10, why },
    ]),
  ).toEqual([
    ['EVENT_DELIVERED', undefined, 'event e delivered to queue'],
    ['EVENT_DELIVERED', 20, 'event e delivered to stream'],
    ['EVENT_GIVEN_UP', 20, 'event e given up for webhook: 10 attempts failed, the last: answered 500'],
  ])
  expect(
    textsOf([
      { sink: 'webhook', state: 'waiting', at: T + 90 * MINUTE, failures: 1, why },
      { sink: 'stream', state: 'waiting', at, failures: 2, why },
      { sink: 'queue', state: 'waiting', failures: 0 },
    ]),
  ).toEqual([
    [
      'EVENT_STATE',
      60,
      `now: event e is sent to webhook again at ${iso(T + 90 * MINUTE)}: 1 attempt failed, the last: ${why}`,
    ],
    ['EVENT_STATE', 60, `now: event e is to be sent to stream: 2 attempts failed, the last: ${why}`],
    ['EVENT_STATE', 60, 'now: event e is to be sent to queue'],
  ])
  expect(textsOf([], [{ name: 'mailer', state: 'past' }])).toEqual([
    ['EVENT_STATE', 60, 'now: event e is not, or no longer, to be delivered'],
    ['EVENT_STATE', 60, 'now: mailer is done with event e'],
  ])
})
