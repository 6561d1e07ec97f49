import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ERROR_CODES, type ErrorCode, OrderExpiryError } from '../../../src/errors.ts'
import type { Check, Outcome } from '../../../src/order/order.ts'
import { createSettle, isOutage, type Settlement } from '../../../src/order/settle.ts'
import { Breaker } from '../../../src/runtime/breaker.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const NOW = Date.UTC(2030, 0, 1)

const checksOf = (count: number): Check[] =>
  Array.from({ length: count }, (_, n) => ({ orderId: `order-${n}`, deadline: NOW - 1_000 + n }))

const cancelled = ({ deadline }: Check): Outcome => ({
  kind: 'cancelled',
  at: NOW,
  evidence: { decidedAt: NOW, status: 'pending', deadline },
})

/** Settling by these answers of the store. `batches` are the batches that it was given. */
function answering(cancelUnpaid: (checks: readonly Check[]) => Outcome[] | Promise<Outcome[]>) {
  const batches: (readonly Check[])[] = []
  const store = {
    async cancelUnpaid(checks: readonly Check[]) {
      batches.push(checks)
      return cancelUnpaid(checks)
    },
  }
  return { settle: createSettle({ store, clock: systemClock, random: () => 0 }), batches }
}

/** A store that rejects every batch that holds one of the bad orders, as a constraint or a trigger does. */
const rejecting = (bad: ReadonlySet<string>) =>
  answering((checks) => {
    const found = checks.find(({ orderId }) => bad.has(orderId))
    if (found) throw new OrderExpiryError('STORE_REJECTED', `stock of ${found.orderId} would be negative`)
    return checks.map(cancelled)
  })

const codeOf = (settlement: Settlement | undefined) =>
  settlement?.kind === 'failed' ? settlement.error.code : settlement?.kind

describe('a batch', () => {
  test('is settled in one call of the store, one settlement for each check in order', async () => {
    const checks = checksOf(500)
    const { settle, batches } = answering((given) => given.map(cancelled))
    expect(await settle(checks)).toEqual(checks.map(cancelled))
    expect(batches).toEqual([checks])
  })

  test('with outcomes of every kind keeps them as the store gave them', async () => {
    const evidence = { decidedAt: NOW, status: 'x', deadline: NOW - 1 }
    const outcomes: Outcome[] = [
      { kind: 'kept', status: 'paid', evidence },
      { kind: 'missing', evidence: { decidedAt: NOW } },
      { kind: 'postponed', until: NOW + 300, reason: 'locked', evidence },
      { kind: 'cancelled', at: NOW, evidence },
    ]
    const { settle } = answering(() => outcomes)
    expect(await settle(checksOf(4))).toEqual(outcomes)
  })
})

describe('a missing order', () => {
  const missing: Outcome = { kind: 'missing', evidence: { decidedAt: NOW } }
  const settleOne = async (deadline: number) => {
    const { settle } = answering(() => [missing])
    return (await settle([{ orderId: 'o', deadline }]))[0]
  }

  test('is waited for until the deadline, since its transaction may still be under way', async () => {
    const postponed = { kind: 'postponed', until: NOW + 1, reason: 'not-due', evidence: missing.evidence }
    expect(await settleOne(NOW + 1)).toEqual(postponed)
  })

  test.each([
    ['at the deadline', NOW],
    ['after the deadline', NOW - 1],
  ])('is missing for good %s', async (_, deadline) => {
    expect(await settleOne(deadline)).toEqual(missing)
  })
})

describe('a batch that the store rejects because of what is in it', () => {
  test('is halved until the bad order stands alone; all others are settled', async () => {
    const checks = checksOf(250)
    const { settle, batches } = rejecting(new Set(['order-137']))
    const settlements = await settle(checks)
    expect(settlements).toHaveLength(250)
    expect(settlements.filter(({ kind }) => kind === 'cancelled')).toHaveLength(249)
    expect(settlements[137]).toMatchObject({
      kind: 'failed',
      error: { code: 'STORE_REJECTED', message: 'stock of order-137 would be negative' },
    })
    expect(batches.length).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(250)))
  })

  test('fails as a whole if every order in it is bad', async () => {
    const checks = checksOf(5)
    const { settle } = rejecting(new Set(checks.map(({ orderId }) => orderId)))
    expect((await settle(checks)).map(codeOf)).toEqual(Array(5).fill('STORE_REJECTED'))
  })

  test('of one order is tried once', async () => {
    const { settle, batches } = rejecting(new Set(['order-0']))
    expect((await settle(checksOf(1))).map(codeOf)).toEqual(['STORE_REJECTED'])
    expect(batches).toHaveLength(1)
  })

  test('fails the bad ones alone and settles each of the others once, in order, whichever they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70 }), fc.uniqueArray(fc.nat(69)), async (count, badOnes) => {
        const checks = checksOf(count)
        const bad = new Set(badOnes.map((n) => `order-${n}`))
        const settledBefore = new Set<string>()
        const { settle } = answering((given) => {
          if (given.some(({ orderId }) => bad.has(orderId))) throw new OrderExpiryError('STORE_REJECTED', 'bad')
          for (const { orderId } of given) {
            expect(settledBefore.has(orderId)).toBe(false)
            settledBefore.add(orderId)
          }
          return given.map(cancelled)
        })
        const settlements = await settle(checks)
        expect(settlements.map(codeOf)).toEqual(
          checks.map(({ orderId }) => (bad.has(orderId) ? 'STORE_REJECTED' : 'cancelled')),
        )
        expect(settlements.map((each) => (each.kind === 'cancelled' ? each.evidence.deadline : undefined))).toEqual(
          checks.map(({ orderId, deadline }) => (bad.has(orderId) ? undefined : deadline)),
        )
      }),
    )
  })

  test('fails where the store goes away in the middle; what was settled before stays settled', async () => {
    let calls = 0
    const { settle } = answering((checks) => {
      calls++
      if (calls === 1) throw new OrderExpiryError('STORE_REJECTED', 'bad')
      if (calls === 2) return checks.map(cancelled)
      throw new OrderExpiryError('STORE_UNAVAILABLE', 'gone')
    })
    expect((await settle(checksOf(4))).map(codeOf)).toEqual([
      'cancelled',
      'cancelled',
      'STORE_UNAVAILABLE',
      'STORE_UNAVAILABLE',
    ])
  })
})

describe('a store that fails', () => {
  test.each(['STORE_UNAVAILABLE', 'STORE_BUSY', 'STORE_REFUSED', 'STORE_MISMATCH'] as const)(
    'with %s is asked once; the same error stands for each check',
    async (code) => {
      const error = new OrderExpiryError(code, 'no')
      const { settle, batches } = answering(() => Promise.reject(error))
      const settlements = await settle(checksOf(3))
      expect(settlements).toEqual(Array(3).fill({ kind: 'failed', error }))
      expect(batches).toHaveLength(1)
    },
  )

  test('with an error that is not ours is UNEXPECTED, with its cause, and not retryable', async () => {
    const cause = new TypeError('x is undefined')
    const { settle } = answering(() => Promise.reject(cause))
    expect(await settle(checksOf(1))).toMatchObject([
      { kind: 'failed', error: { code: 'UNEXPECTED', retryable: false, cause } },
    ])
  })

  test.each([
    ['an error of its own', () => Promise.reject(new Error('x'))],
    ['nothing at all', () => Promise.reject(undefined)],
  ])('with %s does not make settle reject', async (_, cancelUnpaid) => {
    const { settle } = answering(cancelUnpaid)
    expect((await settle(checksOf(2))).map(codeOf)).toEqual(['UNEXPECTED', 'UNEXPECTED'])
  })

  test('to answer for every check leaves none without a settlement', async () => {
    const { settle } = answering((checks) => checks.slice(1).map(cancelled))
    const settlements = await settle(checksOf(3))
    expect(settlements.map(codeOf)).toEqual(['STORE_MISMATCH', 'STORE_MISMATCH', 'STORE_MISMATCH'])
  })
})

describe('the breaker', () => {
  function behindBreaker(cancelUnpaid: (checks: readonly Check[]) => Outcome[] | Promise<Outcome[]>) {
    const breaker = new Breaker<OrderExpiryError>({
      threshold: 3,
      probe: () => Promise.reject(new Error('still away')),
      onOpen: () => {},
      onClose: () => {},
      clock: new FakeClock(),
    })
    let calls = 0
    const store = {
      cancelUnpaid: async (checks: readonly Check[]) => {
        calls++
        return cancelUnpaid(checks)
      },
    }
    return { settle: createSettle({ store, breaker, clock: systemClock }), breaker, calls: () => calls }
  }

  test('counts outages; once it is open, the store is asked no more and each check has failed with its reason', async () => {
    const error = new OrderExpiryError('STORE_UNAVAILABLE', 'away')
    const { settle, breaker, calls } = behindBreaker(() => Promise.reject(error))
    for (let n = 0; n < 5; n++) {
      expect(await settle(checksOf(2))).toEqual(Array(2).fill({ kind: 'failed', error }))
    }
    expect([breaker.failure, calls()]).toEqual([error, 3])
  })

  test('is told of each success', async () => {
    let n = 0
    const { settle, breaker } = behindBreaker((checks) => {
      if (++n % 3 !== 0) throw new OrderExpiryError('STORE_BUSY', 'overloaded')
      return checks.map(cancelled)
    })
    for (let batch = 0; batch < 12; batch++) await settle(checksOf(1))
    expect(breaker.failure).toBeUndefined()
  })

  test.each(['STORE_REJECTED', 'STORE_LOCKED', 'STORE_DEADLOCK', 'STORE_SERIALIZATION'] as const)(
    'does not count %s, which is about some orders only',
    async (code) => {
      const { settle, breaker } = behindBreaker(() => Promise.reject(new OrderExpiryError(code, 'no')))
      for (let batch = 0; batch < 5; batch++) expect((await settle(checksOf(1))).map(codeOf)).toEqual([code])
      expect(breaker.failure).toBeUndefined()
    },
  )

  test('counts just the errors that every other order would meet as well', () => {
    expect(ERROR_CODES.filter((code) => isOutage(new OrderExpiryError(code, 'x'))).sort()).toEqual([
      'OUTBOX_MISSING',
      'STORE_BUSY',
      'STORE_MISMATCH',
      'STORE_READ_ONLY',
      'STORE_REFUSED',
      'STORE_UNAVAILABLE',
    ])
  })
})

describe('a batch in whose way somebody stands', () => {
  test.each(['STORE_LOCKED', 'STORE_DEADLOCK', 'STORE_SERIALIZATION'] as const)(
    '(%s) is halved, so that what nobody holds is settled',
    async (code) => {
      const { settle } = answering((checks) => {
        if (checks.some(({ orderId }) => orderId === 'order-5')) throw new OrderExpiryError(code, 'no')
        return checks.map(cancelled)
      })
      const settlements = await settle(checksOf(8))
      expect(settlements.map(codeOf)).toEqual([...Array(5).fill('cancelled'), code, 'cancelled', 'cancelled'])
    },
  )

  test('is halved no more after three seconds: where a whole table is locked, that helps nobody', async () => {
    const clock = new FakeClock()
    let calls = 0
    const settle = createSettle({
      store: {
        async cancelUnpaid() {
          calls++
          await clock.sleep(1_600)
          throw new OrderExpiryError('STORE_LOCKED', 'no')
        },
      },
      clock,
    })
    const settlements = settle(checksOf(64))
    for (let second = 0; second < 100; second++) await clock.advance(1_000)
    expect((await settlements).map(codeOf)).toEqual(Array(64).fill('STORE_LOCKED'))
    expect(calls).toBe(3)
  })
})

describe('an error that may be about the store or about an order', () => {
  const DOUBTFUL = ['STORE_BUSY', 'STORE_REFUSED', 'STORE_MISMATCH'] as const
  /** A store in which one order stops every batch that holds it. */
  function create(options: { code: ErrorCode; ping: () => Promise<unknown>; tookMs?: number; random?: () => number }) {
    const { code, ping, tookMs = 0, random } = options
    const clock = new FakeClock()
    const failures: string[] = []
    const breaker = new Breaker<OrderExpiryError>({
      threshold: 1,
      probe: async () => {},
      onOpen: ({ code: reason }) => failures.push(reason),
      onClose: () => {},
      clock,
    })
    let calls = 0
    let steps = 0
    const store = {
      async cancelUnpaid(checks: readonly Check[]) {
        calls++
        if (tookMs > 0) await clock.sleep(tookMs)
        if (checks.some(({ orderId }) => orderId.startsWith('bad')))
          throw new OrderExpiryError(code, 'no such relation')
        return checks.map(cancelled)
      },
    }
    const settle = createSettle({ store, ping, breaker, onStep: () => steps++, clock, ...(random && { random }) })
    return { settle, clock, failures, calls: () => calls, steps: () => steps }
  }
  const bad = (n: number): Check => ({ orderId: `bad-${n}`, deadline: NOW - 1 })

  test.each(DOUBTFUL)('%s is that of the order, if the store passes its probe: it alone is rejected', async (code) => {
    const { settle, failures } = create({ code, ping: async () => NOW })
    const checks = [...checksOf(20), bad(1), ...checksOf(20)]
    const settlements = await settle(checks)
    expect(settlements.map(codeOf)).toEqual(
      checks.map(({ orderId }) => (orderId === 'bad-1' ? 'STORE_REJECTED' : 'cancelled')),
    )
    expect(failures).toEqual([])
  })

  test.each(DOUBTFUL)(
    '%s is that of the store, if it does not: nothing is halved, the breaker hears of it',
    async (code) => {
      const { settle, failures, calls } = create({ code, ping: () => Promise.reject(new Error('down')) })
      expect((await settle([...checksOf(20), bad(1)])).map(codeOf)).toEqual(Array(21).fill(code))
      expect([failures, calls()]).toEqual([[code], 1])
    },
  )

  test.each(['STORE_REJECTED', 'UNEXPECTED'] as const)(
    '%s is not that of the orders, if the store does not pass its probe: whoever alters the table blames no order',
    async (code) => {
      const ping = () => Promise.reject(new OrderExpiryError('STORE_REJECTED', 'no label "cancelled"'))
      const { settle, failures, calls } = create({ code, ping })
      const settlements = await settle([...checksOf(20), bad(1)])
      expect(settlements.map(codeOf)).toEqual(Array(21).fill('STORE_MISMATCH'))
      expect(settlements[0]).toMatchObject({ error: { message: expect.stringContaining('no label "cancelled"') } })
      expect([failures, calls()]).toEqual([['STORE_MISMATCH'], 1])
    },
  )

  test('the store is probed once for a batch, not for each half; again only where that takes long', async () => {
    const probes: number[] = []
    const quick = create({ code: 'STORE_REJECTED', ping: async () => probes.push(0) })
    await quick.settle([...checksOf(60), bad(1), bad(2), bad(3)])
    expect(probes).toEqual([0])
    const slow = create({ code: 'STORE_REJECTED', ping: async () => probes.push(1), tookMs: 600 })
    const settled = slow.settle([bad(1), bad(2), bad(3), bad(4)])
    for (let tick = 0; tick < 20; tick++) await slow.clock.advance(600)
    await settled
    expect(probes).toEqual([0, 1, 1, 1, 1])
  })

  test('a store that is altered while a batch is halved blames no further order', async () => {
    let isAltered = false
    const ping = async () => {
      if (isAltered) throw new OrderExpiryError('STORE_MISMATCH', 'no column "status"')
    }
    const { settle, clock } = create({ code: 'STORE_REJECTED', ping, tookMs: 1_100 })
    const settled = settle([bad(1), bad(2)])
    await clock.advance(1_100)
    isAltered = true
    for (let tick = 0; tick < 5; tick++) await clock.advance(1_100)
    expect((await settled).map(codeOf)).toEqual(['STORE_MISMATCH', 'STORE_MISMATCH'])
  })

  test.each([...DOUBTFUL, 'STORE_REJECTED'] as const)(
    '%s of a store that is put right before its probe is not that of the order',
    async (code) => {
      const { store, repair } = altered(code)
      const settle = createSettle({ store, ping: async () => repair(), clock: new FakeClock() })
      expect((await settle(checksOf(1))).map(codeOf)).toEqual(['cancelled'])
    },
  )

  /** A store that fails until it is put right. */
  function altered(code: ErrorCode) {
    let isAltered = true
    const store = {
      async cancelUnpaid(checks: readonly Check[]) {
        if (isAltered) throw new OrderExpiryError(code, 'no column "status"')
        return checks.map(cancelled)
      },
    }
    const repair = () => {
      isAltered = false
    }
    return { store, repair }
  }

  test('is looked for no longer than ten seconds; what is not taken apart by then is undecided, and blamed for nothing', async () => {
    const { settle, clock, failures } = create({ code: 'STORE_REJECTED', ping: async () => NOW, tookMs: 1_000 })
    const settlements = settle(Array.from({ length: 64 }, (_, n) => bad(n)))
    for (let second = 0; second < 300; second++) await clock.advance(1_000)
    const codes = (await settlements).map(codeOf)
    expect(new Set(codes)).toEqual(new Set(['STORE_REJECTED', 'STORE_UNDECIDED']))
    expect(clock.sleeping).toEqual([])
    expect(failures).toEqual([])
    expect(new OrderExpiryError('STORE_UNDECIDED', '').retryable).toBe(true) // costs no attempt
  })

  test.each([
    ['front', 0],
    ['back', 0.9],
  ])(
    'begins with the %s half as chance has it, so that not always the same orders go without',
    async (half, chance) => {
      const { settle, clock } = create({
        code: 'STORE_REJECTED',
        ping: async () => NOW,
        tookMs: 3_000,
        random: () => chance,
      })
      const settlements = settle(Array.from({ length: 8 }, (_, n) => bad(n)))
      for (let second = 0; second < 300; second++) await clock.advance(1_000)
      const codes = (await settlements).map(codeOf)
      expect(half === 'front' ? codes[0] : codes[7]).toBe('STORE_REJECTED')
      expect(half === 'front' ? codes[7] : codes[0]).toBe('STORE_UNDECIDED')
    },
  )

  test('each call of the store is a step', async () => {
    const { settle, calls, steps } = create({ code: 'STORE_REJECTED', ping: async () => NOW })
    await settle([...checksOf(7), bad(1)])
    expect(steps()).toBe(2 * calls())
  })
})

test('tells of each order, then of the batch, as a whole and with the first error', async () => {
  const clock = new FakeClock()
  const told: unknown[] = []
  const evidence = { decidedAt: NOW }
  const settle = createSettle({
    store: {
      async cancelUnpaid(checks) {
        await clock.sleep(7)
        if (checks.some(({ orderId }) => orderId === 'order-3')) throw new OrderExpiryError('STORE_REJECTED', 'no')
        return checks.map((check, n) =>
          n === 0 ? { kind: 'postponed', until: NOW + 1, reason: 'dry-run', evidence } : cancelled(check),
        )
      },
    },
    onOrder: (order) => told.push(order),
    onBatch: (batch) => told.push(batch),
    clock,
    random: () => 0,
  })
  const settling = settle(checksOf(4))
  await clock.advance(100)
  await settling
  expect(told).toEqual([
    { orderId: 'order-0', outcome: 'would-cancel' },
    { orderId: 'order-1', outcome: 'cancelled' },
    { orderId: 'order-2', outcome: 'would-cancel' },
    { orderId: 'order-3', outcome: 'failed' },
    {
      checks: 4,
      tookMs: 35,
      outcomes: { 'would-cancel': 2, cancelled: 1, failed: 1 },
      error: expect.objectContaining({ code: 'STORE_REJECTED' }),
    },
  ])
})
