import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ERROR_CODES, type ErrorCode, OrderExpiryError } from '../../../src/errors.ts'
import { nextStep } from '../../../src/order/next-step.ts'
import type { Settlement } from '../../../src/order/settle.ts'

const NOW = Date.UTC(2030, 0, 1)
const evidence = { decidedAt: NOW, status: 'pending', deadline: NOW - 5 }

const step = (
  settlement: Settlement,
  counts: { started?: number; failed?: number; now?: number; random?: () => number } = {},
) => nextStep({ settlement, started: 1, failed: 0, maxAttempts: 3, now: NOW, random: () => 0, ...counts })

const failure = (code: ErrorCode) => {
  const error = new OrderExpiryError(code, 'no')
  return { error, settlement: { kind: 'failed', error } as const }
}

describe('an outcome', () => {
  test.each<Exclude<Settlement, { kind: 'failed' } | { kind: 'postponed' }>>([
    { kind: 'cancelled', at: NOW, evidence },
    { kind: 'kept', status: 'paid', evidence },
    { kind: 'missing', evidence },
  ])('$kind finishes the job, and is on it', (outcome) => {
    expect(step(outcome)).toEqual({ kind: 'finish', outcome })
  })

  test.each(['not-due', 'locked', 'brake', 'dry-run'] as const)(
    'postponed (%s) postpones by a span of the clock of the store',
    (reason) => {
      const settlement = { kind: 'postponed', until: NOW + 1_234, reason, evidence } as const
      const isLeftBehind = reason === 'locked'
      expect(step(settlement)).toEqual({ kind: 'postpone', delayMs: 1_234, why: reason, isLeftBehind })
    },
  )

  test('postponed until a moment that has passed comes again soon, but never at once', () => {
    for (const until of [NOW, NOW - 60_000]) {
      expect(step({ kind: 'postponed', until, reason: 'not-due', evidence })).toMatchObject({ delayMs: 1 })
      expect(step({ kind: 'postponed', until, reason: 'locked', evidence })).toMatchObject({ delayMs: 100 })
    }
  })

  test.each(['brake', 'dry-run'] as const)('postponed (%s) comes no later, however often it has come', (reason) => {
    const settlement = { kind: 'postponed', until: NOW + 10_000, reason, evidence } as const
    const expected = { kind: 'postpone', delayMs: 10_000, why: reason, isLeftBehind: false }
    expect(step(settlement, { started: 1_000, failed: 2 })).toEqual(expected)
  })

  test.each([
    ['agree', 0, 600_000],
    ['disagree and it is due by that of the queue', 600_000, 30_000],
    ['disagree and it is due sooner by that of the queue', 400_000, 200_000],
    ['disagree and it is due later by that of the queue', -600_000, 600_000],
  ])('not due by the clock of the store is postponed where the clocks %s', (_, aheadMs, delayMs) => {
    const settlement = { kind: 'postponed', until: NOW + 600_000, reason: 'not-due', evidence } as const
    expect(step(settlement, { now: NOW + aheadMs })).toMatchObject({ kind: 'postpone', delayMs })
  })

  test('postponed costs no attempt, however often it happens', () => {
    const settlement = { kind: 'postponed', until: NOW + 300, reason: 'locked', evidence } as const
    expect(step(settlement, { started: 100_000, failed: 2 })).toMatchObject({ kind: 'postpone' })
  })
})

describe('a store that is away or busy', () => {
  test.each([
    'STORE_UNAVAILABLE',
    'STORE_BUSY',
    'STORE_READ_ONLY',
    'STORE_LOCKED',
    'STORE_DEADLOCK',
    'STORE_SERIALIZATION',
  ] as const)('(%s) postpones and costs no attempt', (code) => {
    const { settlement } = failure(code)
    for (const failed of [0, 2, 3, 1_000]) {
      expect(step(settlement, { failed, started: failed + 1 })).toMatchObject({ kind: 'postpone', why: code })
    }
  })

  test('is asked again after 0.25 to 0.5 s, then more and more seldom, but within 5 s', () => {
    const { settlement } = failure('STORE_UNAVAILABLE')
    const waits = [1, 2, 3, 4, 5, 100].map((started) => [
      step(settlement, { started, random: () => 0 }),
      step(settlement, { started, random: () => 0.999999 }),
    ])
    const delays = waits.map((pair) => pair.map((each) => (each.kind === 'postpone' ? each.delayMs : undefined)))
    expect(delays).toEqual([
      [250, 500],
      [500, 1_000],
      [1_000, 2_000],
      [2_000, 4_000],
      [2_500, 5_000],
      [2_500, 5_000],
    ])
  })
})

describe('a row that stays locked', () => {
  const lockedFor = (lateMs: number, counts: { started: number; random?: () => number }) => {
    const lateEvidence = { ...evidence, deadline: NOW - lateMs }
    return step({ kind: 'postponed', until: NOW + 300, reason: 'locked', evidence: lateEvidence }, counts)
  }
  const delays = (lateMs: number, started = 100) =>
    [() => 0, () => 0.999999]
      .map((random) => lockedFor(lateMs, { started, random }))
      .map((next) => Object(next).delayMs)

  test('is looked at soon while the order is late by no more than a second: most often a payment commits', () => {
    for (const lateMs of [0, 300, 1_000]) expect(delays(lateMs)).toEqual([300, 375])
  })

  test('is looked at soon for the first time, however late the order is', () => {
    expect(delays(86_400_000, 1)).toEqual([300, 375])
  })

  test('is looked at every 2 s then, and ever more rarely the later the order is, but every 30 s at the latest', () => {
    const lateness = [1_001, 5_000, 20_000, 48_000, 60_000, 86_400_000]
    expect(lateness.map((lateMs) => delays(lateMs))).toEqual([
      [2_000, 2_500],
      [2_000, 2_500],
      [8_000, 10_000],
      [19_200, 24_000],
      [24_000, 30_000],
      [24_000, 30_000],
    ])
  })

  test('of thousands that come at once, does not come back together with the others', () => {
    const many = Array.from({ length: 20_000 }, () => lockedFor(60_000, { started: 9, random: Math.random }))
    const inSecond = new Map<number, number>()
    for (const next of many) {
      const second = Math.floor(Object(next).delayMs / 1_000)
      inSecond.set(second, (inSecond.get(second) ?? 0) + 1)
    }
    expect(Math.max(...inSecond.values())).toBeLessThan(4_500)
  })
})

describe('an order that is left behind, and comes after all others,', () => {
  test.each(['STORE_LOCKED', 'STORE_DEADLOCK', 'STORE_SERIALIZATION', 'STORE_UNDECIDED'] as const)(
    'is one that a lock or its company stops (%s)',
    (code) => {
      const next = step(failure(code).settlement, { started: 100, random: () => 0.999999 })
      expect(next).toEqual({ kind: 'postpone', delayMs: 10_000, why: code, isLeftBehind: true })
    },
  )

  test.each(['STORE_UNAVAILABLE', 'STORE_BUSY', 'STORE_MISMATCH'] as const)(
    'is not one that an outage stops (%s)',
    (code) => {
      expect(step(failure(code).settlement)).toMatchObject({ isLeftBehind: false })
    },
  )
})

test.each(['STORE_REFUSED', 'STORE_MISMATCH', 'OUTBOX_MISSING'] as const)(
  '%s says nothing of the order: it costs no attempt',
  (code) => {
    expect(step(failure(code).settlement, { failed: 500 })).toMatchObject({ kind: 'postpone', why: code })
  },
)

describe('any other failure', () => {
  test.each(['STORE_REJECTED', 'INVALID_JOB', 'UNEXPECTED'] as const)(
    '(%s) is tried again until the attempts are used up, and then given up',
    (code) => {
      const { settlement, error } = failure(code)
      expect(step(settlement, { failed: 0 })).toEqual({ kind: 'retry', delayMs: 500, error })
      expect(step(settlement, { failed: 1 })).toEqual({ kind: 'retry', delayMs: 1_000, error })
      expect(step(settlement, { failed: 2 })).toEqual({ kind: 'give-up', error })
      expect(step(settlement, { failed: 7 })).toEqual({ kind: 'give-up', error })
    },
  )

  test('counts failures, not how often the check was started', () => {
    expect(step(failure('STORE_REJECTED').settlement, { started: 50, failed: 0 })).toMatchObject({
      kind: 'retry',
      delayMs: 500,
    })
  })

  test('waits a minute at most', () => {
    const wait = nextStep({
      settlement: failure('STORE_REJECTED').settlement,
      started: 1,
      failed: 500,
      maxAttempts: 1_000,
      now: NOW,
      random: () => 0.999999,
    })
    expect(wait).toMatchObject({ kind: 'retry', delayMs: 60_000 })
  })

  test('is given up at once where one attempt is allowed', () => {
    const { settlement, error } = failure('STORE_REJECTED')
    expect(nextStep({ settlement, started: 1, failed: 0, maxAttempts: 1, now: NOW })).toEqual({
      kind: 'give-up',
      error,
    })
  })
})

test('whatever fails however often, a wait is a whole number of milliseconds above zero, and attempts end', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...ERROR_CODES),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.nat(1_000_000),
      fc.integer({ min: 1, max: 1_000 }),
      (code, started, failed, maxAttempts) => {
        const error = new OrderExpiryError(code, 'no')
        const next = nextStep({ settlement: { kind: 'failed', error }, started, failed, maxAttempts, now: NOW })
        if (next.kind === 'postpone' || next.kind === 'retry') {
          expect(Number.isInteger(next.delayMs)).toBe(true)
          expect(next.delayMs).toBeGreaterThan(0)
        }
        const saysNothing = ['STORE_REFUSED', 'STORE_MISMATCH', 'OUTBOX_MISSING'].includes(code)
        expect(next.kind).toBe(
          error.retryable || saysNothing
            ? 'postpone'
            : failed + 1 < maxAttempts && code !== 'PAYMENT_UNSETTLED'
              ? 'retry'
              : 'give-up',
        )
      },
    ),
  )
})
