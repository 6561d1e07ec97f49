import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Brake } from '../../../src/brake/brake.ts'
import type { BrakeOptions, Held } from '../../../src/brake/brake-options.ts'
import type { BrakeStatus, Grant, SharedBrake } from '../../../src/brake/shared-brake.ts'
import { type ErrorCode, OrderExpiryError } from '../../../src/errors.ts'
import type { Outcome } from '../../../src/order/order.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'
import { NOW, RecordingStore } from '../order/recording-store.ts'

/** The state of the brake in memory; time stands still in it. */
class FakeShared implements SharedBrake {
  state: BrakeStatus = { engaged: false, lastMinute: 0 }
  isSuspended = false
  isAway = false
  failure: Error | undefined
  /** The answers are lost; what they answer is done. */
  losesAnswers = false
  readonly grants = new Map<string, number>()
  readonly used = new Set<string>()
  readonly calls: string[] = []
  beforeAnswer: (what: string) => Promise<void> | void = () => {}

  status(): Promise<BrakeStatus> {
    return this.#answer('status', () => this.state)
  }

  reserve(id: string, count: number, limit: number): Promise<Grant> {
    return this.#answer(`reserve ${count}`, () => {
      if (this.state.engaged) return { granted: 0, status: this.state }
      if (this.isSuspended) return { granted: count, status: this.state }
      const granted = Math.max(0, Math.min(count, limit - this.state.lastMinute))
      this.grants.set(id, granted)
      this.state = { ...this.state, lastMinute: this.state.lastMinute + granted }
      return { granted, status: this.state }
    })
  }

  use(id: string, used: number): Promise<void> {
    return this.#answer(`use ${used}`, () => {
      const granted = this.grants.get(id)
      if (granted === undefined) return
      this.used.add(id)
      this.grants.set(id, Math.min(granted, used))
      this.state = { ...this.state, lastMinute: this.state.lastMinute - Math.max(0, granted - used) }
    })
  }

  countUsed(): Promise<number> {
    return this.#answer('count', () => [...this.used].reduce((sum, id) => sum + (this.grants.get(id) ?? 0), 0))
  }

  engage(reason: 'limit' | 'payment-silence' | 'manual', by: string): Promise<BrakeStatus> {
    return this.#answer(`engage ${reason}`, () => {
      if (reason === 'manual' || !this.isSuspended) this.state = { ...this.state, engaged: true, reason, by }
      return this.state
    })
  }

  async #answer<T>(what: string, answer: () => T): Promise<T> {
    this.calls.push(what)
    if (this.isAway) throw new Error('Redis is away')
    if (this.failure) throw this.failure
    const answered = answer()
    if (this.losesAnswers) throw new Error('the answer is lost')
    await this.beforeAnswer(what)
    return answered
  }
}

function createBrake(options: Partial<BrakeOptions> = {}) {
  const clock = new FakeClock(NOW)
  const store = new RecordingStore()
  const shared = new FakeShared()
  const changes: BrakeStatus[] = []
  /** What was told of the state being known or not. */
  const known: (ErrorCode | boolean)[] = []
  const held: Held[] = []
  const brake = new Brake({
    store,
    shared,
    maxPerMinute: undefined,
    paymentSilenceMs: undefined,
    by: 'test:1',
    onChange: (status) => changes.push(status),
    onUnknown: ({ code }) => known.push(code),
    onKnown: ({ engaged }) => known.push(engaged),
    onHeld: (each) => held.push(each),
    clock,
    random: () => 0,
    ...options,
  })
  return { brake, clock, store, shared, changes, known, held }
}

const kinds = (outcomes: readonly { kind: string }[]) => outcomes.map(({ kind }) => kind)

describe('without a limit or a silence', () => {
  test('the store cancels, and is asked once', async () => {
    const { brake, store, held } = createBrake()
    expect(kinds(await brake.cancelUnpaid(store.placeMany(3)))).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect(store.calls.map(({ what }) => what)).toEqual(['cancel'])
    expect(held).toEqual([])
  })

  test('each batch asks for the state, so that a brake engaged by hand stops the very next one', async () => {
    const { brake, store, shared } = createBrake()
    await brake.cancelUnpaid(store.placeMany(1))
    await brake.cancelUnpaid(store.placeMany(1))
    expect(shared.calls).toEqual(['status', 'status'])
    shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual(['postponed'])
    expect(brake.known).toMatchObject({ engaged: true, reason: 'manual' })
  })

  test('while the keeper is away, it is asked once in 5 s, by all batches together', async () => {
    const { brake, store, shared, clock } = createBrake()
    await brake.refresh()
    shared.calls.splice(0)
    shared.isAway = true
    const batches = () => Promise.all([1, 2, 3].map(() => brake.cancelUnpaid(store.placeMany(1))))
    await batches()
    await clock.advance(5_000)
    await batches()
    expect(shared.calls).toEqual(['status'])
    await clock.advance(1)
    await batches()
    expect(shared.calls).toEqual(['status', 'status'])
    expect(store.count('cancelled')).toBe(9)
  })

  test('while the keeper is away, no batch waits for it; what it says once it is back counts for the next', async () => {
    const { brake, store, shared, clock } = createBrake()
    await brake.refresh()
    shared.isAway = true
    await brake.refresh()
    await clock.advance(5_001)
    const silence = deferred()
    Object.assign(shared, { isAway: false, beforeAnswer: () => silence.promise })
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual(['cancelled'])
    shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    const asked = brake.refresh()
    silence.resolve()
    await asked
    expect(brake.known?.engaged).toBe(false) // it was asked before that
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual(['postponed'])
  })

  test('a brake that was engaged stays so while its keeper is away, and is released by its keeper only', async () => {
    const { brake, store, shared } = createBrake()
    shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    const checks = store.placeMany(2)
    await brake.refresh()
    shared.isAway = true
    await brake.refresh()
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['postponed', 'postponed'])
    shared.isAway = false
    shared.state = { engaged: false, lastMinute: 0 }
    await brake.refresh()
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['cancelled', 'cancelled'])
  })
})

describe('not known', () => {
  const settings = [
    ['without a limit or a silence', {}],
    ['with a limit', { maxPerMinute: 100 }],
    ['with a silence', { paymentSilenceMs: 60_000 }],
  ] as const
  const failures = [
    ['away', new OrderExpiryError('REDIS_UNAVAILABLE', 'away')],
    ['too slow', new Error('Command timed out')],
    ['refusing', new OrderExpiryError('REDIS_REFUSED', 'NOPERM')],
  ] as const
  const cases = settings.flatMap(([how, options]) => failures.map(([is, error]) => [how, is, options, error] as const))

  test.each(cases)(
    '%s, a keeper that is %s before the first answer: nothing is cancelled',
    async (_, __, options, error) => {
      const { brake, store, shared, clock, known, held } = createBrake(options)
      shared.failure = error
      await brake.refresh()
      const checks = store.placeMany(2)
      expect(await brake.cancelUnpaid(checks)).toMatchObject([
        { kind: 'postponed', reason: 'brake' },
        { kind: 'postponed', reason: 'brake' },
      ])
      expect([store.count('cancelled'), brake.known]).toEqual([0, undefined])
      expect(brake.unknown?.message).toBe(error.message)
      expect(held).toEqual([{ orders: 2, reason: 'unknown', cause: expect.stringContaining(error.message) }])

      shared.failure = undefined
      await clock.advance(5_001)
      expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['cancelled', 'cancelled'])
      expect(known).toEqual([expect.any(String), false])
    },
  )

  test('without an answer, it is not asked again by every batch', async () => {
    const { brake, store, shared } = createBrake()
    shared.isAway = true
    await Promise.all([1, 2, 3].map(() => brake.cancelUnpaid(store.placeMany(1))))
    await brake.cancelUnpaid(store.placeMany(1))
    expect(shared.calls).toEqual(['status'])
    expect(store.count('cancelled')).toBe(0)
  })

  test.each(settings)('%s, a keeper that refuses ends what was known: that is no outage', async (_, options) => {
    const { brake, store, shared, clock, known, held } = createBrake(options)
    await brake.refresh()
    shared.failure = new OrderExpiryError('REDIS_REFUSED', 'NOPERM')
    const checks = store.placeMany(1)
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['postponed'])
    shared.failure = new OrderExpiryError('REDIS_UNAVAILABLE', 'away')
    await clock.advance(5_001)
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['postponed'])
    expect(held.map(({ reason }) => reason)).toEqual(['unknown', 'unknown'])
    shared.failure = undefined
    await clock.advance(5_001)
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['cancelled'])
    expect(known).toEqual(['REDIS_REFUSED', false])
  })
})

describe('engaged', () => {
  async function engaged(options: Partial<BrakeOptions> = {}) {
    const made = createBrake(options)
    made.shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    await made.brake.refresh()
    return made
  }

  test.each([undefined, 100])(
    'nothing is cancelled, and paid and missing orders are decided (limit %p)',
    async (max) => {
      const { brake, store, held } = await engaged({ maxPerMinute: max })
      store.set('paid', 'paid')
      const checks = [...store.placeMany(1), { orderId: 'paid', deadline: 0 }, { orderId: 'nobody', deadline: 0 }]
      expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['postponed', 'kept', 'missing'])
      expect(store.count('cancelled')).toBe(0)
      expect(held).toEqual([{ orders: 1, reason: 'manual' }])
    },
  )

  test.each([
    [0, 10_000],
    [0.5, 20_000],
    [1, 30_000],
  ])('what is held back comes again within 10 to 30 s of the clock of the store (random %p)', async (random, after) => {
    const { brake, store } = await engaged({ random: () => random })
    expect(await brake.cancelUnpaid(store.placeMany(1))).toEqual([
      {
        kind: 'postponed',
        until: NOW + after,
        reason: 'brake',
        evidence: { decidedAt: NOW, status: 'pending', deadline: NOW - 1_000 },
      },
    ])
  })

  test('nobody is told of orders held back where there are none', async () => {
    const { brake, store, held } = await engaged()
    store.set('paid', 'paid')
    await brake.cancelUnpaid([{ orderId: 'paid', deadline: 0 }])
    expect(held).toEqual([])
  })
})

describe('a change', () => {
  test('is told once, in both directions', async () => {
    const { brake, shared, changes } = createBrake()
    for (const engaged of [false, false, true, true, false, false]) {
      shared.state = { engaged, lastMinute: 0 }
      await brake.refresh()
    }
    expect(changes.map(({ engaged }) => engaged)).toEqual([true, false])
  })

  test('is told when the first look finds it engaged', async () => {
    const { brake, shared, changes } = createBrake()
    shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    await brake.refresh()
    expect(changes).toHaveLength(1)
  })
})

describe('with a limit', () => {
  test('exactly as many are cancelled as it says, the rest is held back', async () => {
    const { brake, store, held, changes } = createBrake({ maxPerMinute: 10 })
    const outcomes = await brake.cancelUnpaid(store.placeMany(25))
    expect(kinds(outcomes)).toEqual([...Array(10).fill('cancelled'), ...Array(15).fill('postponed')])
    expect(store.count('cancelled')).toBe(10)
    expect(held).toEqual([{ orders: 15, reason: 'limit' }])
    expect(changes).toMatchObject([{ engaged: true, reason: 'limit' }])
    expect(kinds(await brake.cancelUnpaid(store.placeMany(2)))).toEqual(['postponed', 'postponed'])
    expect(store.count('cancelled')).toBe(10)
  })

  test('a worker and a sweep that are at the same orders at once do not engage it', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 30 })
    const checks = store.placeMany(20)
    let other: Promise<unknown> | undefined
    // Both find all 20 due, and have 40 reserved, before either cancels any.
    shared.beforeAnswer = async (what) => {
      if (what !== 'reserve 20' || other) return
      other = Promise.resolve()
      other = brake.cancelUnpaid(checks)
      await new Promise(setImmediate)
    }
    await brake.cancelUnpaid(checks)
    await other
    expect([store.count('cancelled'), shared.state.engaged]).toEqual([20, false])
  })

  test('where others hold what is left of it, it engages once that has been used', async () => {
    const { brake, store, shared, held } = createBrake({ maxPerMinute: 30 })
    await shared.reserve('other', 25, 30)
    const checks = store.placeMany(20)
    await brake.cancelUnpaid(checks)
    expect([store.count('cancelled'), shared.state.engaged]).toEqual([5, false])
    expect(held).toEqual([
      { orders: 15, reason: 'unknown', cause: 'the rest of the limit is currently granted to others' },
    ])
    await shared.use('other', 25)
    await brake.cancelUnpaid(checks)
    expect([store.count('cancelled'), shared.state.engaged]).toEqual([5, true])
  })

  test('as many as it says do not engage it', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 10 })
    await brake.cancelUnpaid(store.placeMany(10))
    expect([store.count('cancelled'), shared.state.engaged]).toEqual([10, false])
  })

  test('only what would be cancelled counts', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 1 })
    store.set('paid', 'paid')
    const checks = [
      { orderId: 'paid', deadline: 0 },
      { orderId: 'nobody', deadline: 0 },
      ...store.placeMany(1, NOW + 5_000),
      ...store.placeMany(1),
    ]
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['kept', 'missing', 'postponed', 'cancelled'])
    expect(shared.calls.filter((call) => call !== 'status')).toEqual(['reserve 1', 'use 1'])
    expect(store.calls.at(-1)).toEqual({ what: 'cancel', orderIds: ['order-2'] })
  })

  test.each(['rejected', 'kept'] as const)(
    'orders that turn out to be %s do not engage it, and leave their places to others of the batch',
    async (kind) => {
      const { brake, store, shared, held } = createBrake({ maxPerMinute: 10 })
      const guarded = new Set(store.placeMany(25).map(({ orderId }) => orderId))
      const checks = [...guarded].map((orderId) => ({ orderId, deadline: NOW - 1_000 }))
      const cancelUnpaid = store.cancelUnpaid.bind(store)
      store.cancelUnpaid = async (some, options) => {
        if (options?.dryRun) return cancelUnpaid(some, options)
        const done = await cancelUnpaid(
          some.filter(({ orderId }) => !guarded.has(orderId)),
          options,
        )
        const outcomes = done.values()
        const evidence = { decidedAt: NOW }
        return some.map(({ orderId }) => {
          if (!guarded.has(orderId)) return outcomes.next().value as Outcome
          if (kind === 'kept') return { kind, status: 'pending', evidence }
          return { kind, error: new OrderExpiryError('STORE_REJECTED', 'a trigger says no'), evidence }
        })
      }
      const good = store.placeMany(3)
      const outcomes = await brake.cancelUnpaid([...checks, ...good])
      expect(kinds(outcomes)).toEqual([...Array(25).fill(kind), ...Array(3).fill('cancelled')])
      expect([shared.state.engaged, shared.state.lastMinute, held]).toEqual([false, 3, []])
    },
  )

  test('others that hold all of it for orders that may not be cancelled do not engage it', async () => {
    const { brake, store, shared, held } = createBrake({ maxPerMinute: 10 })
    await shared.reserve('other', 10, 10)
    expect(kinds(await brake.cancelUnpaid(store.placeMany(25)))).toEqual(Array(25).fill('postponed'))
    expect(held).toMatchObject([{ orders: 25, reason: 'unknown' }])
    await shared.use('other', 0)
    expect(shared.state.engaged).toBe(false)
  })

  test('what goes wrong after some have been cancelled does not hide these', async () => {
    const { brake, store, held } = createBrake({ maxPerMinute: 10 })
    const checks = store.placeMany(15)
    let asked = 0
    store.beforeCancel = ([first]) => {
      asked += 1
      if (asked > 1) throw new OrderExpiryError('STORE_REJECTED', 'a trigger fails')
      store.set(first?.orderId as string, 'paid')
    }
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual([
      'kept',
      ...Array(9).fill('cancelled'),
      ...Array(5).fill('postponed'),
    ])
    expect(held).toEqual([{ orders: 5, reason: 'unknown', cause: 'a trigger fails' }])
  })

  test('where nothing is due, neither the keeper is asked nor the store a second time', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 1 })
    await brake.cancelUnpaid(store.placeMany(3, NOW + 5_000))
    expect(shared.calls).toEqual([])
    expect(store.calls.map(({ what }) => what)).toEqual(['dryRun'])
  })

  test('what was granted and not used is given back: paid in between, and standing twice', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 10 })
    const [first, second, third] = store.placeMany(3)
    if (!first || !second || !third) throw new Error('placed none')
    store.beforeCancel = () => store.set(second.orderId, 'paid')
    const outcomes = await brake.cancelUnpaid([first, second, third, first])
    expect(kinds(outcomes)).toEqual(['cancelled', 'kept', 'cancelled', 'kept'])
    expect(outcomes[1]).toMatchObject({ status: 'paid' })
    expect(shared.calls.slice(1)).toEqual(['reserve 3', 'use 2'])
    expect(shared.state.lastMinute).toBe(2)
  })

  test('an order that stands twice and is held back is not said to be cancelled', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 10 })
    shared.state = { engaged: true, lastMinute: 0 }
    const [order] = store.placeMany(1)
    if (!order) throw new Error('placed none')
    expect(kinds(await brake.cancelUnpaid([order, order]))).toEqual(['postponed', 'postponed'])
  })

  test('an order that stands twice counts once', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 1 })
    const [first, second] = store.placeMany(2)
    if (!first || !second) throw new Error('placed none')
    expect(kinds(await brake.cancelUnpaid([first, first]))).toEqual(['cancelled', 'kept'])
    expect(shared.state).toMatchObject({ engaged: false, lastMinute: 1 })
    expect(kinds(await brake.cancelUnpaid([second, second]))).toEqual(['postponed', 'postponed'])
  })

  test.each<[code: ErrorCode, calls: string[]]>([
    ['STORE_REJECTED', ['reserve 2', 'use 0']],
    ['STORE_LOCKED', ['reserve 2', 'use 0']],
    ['STORE_DEADLOCK', ['reserve 2', 'use 0']],
    ['STORE_MISMATCH', ['reserve 2', 'use 0']],
    ['STORE_UNAVAILABLE', ['reserve 2']], // the answer to COMMIT may be what was lost
  ])('what the store answers with %s counts only if it may have been done', async (code, calls) => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 10 })
    store.beforeCancel = () => {
      throw new OrderExpiryError(code, 'no')
    }
    await expect(brake.cancelUnpaid(store.placeMany(2))).rejects.toMatchObject({ code })
    expect(shared.calls.slice(1)).toEqual(calls)
  })

  test('that nothing can be given back to loses no outcome', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 10 })
    const checks = store.placeMany(2)
    store.beforeCancel = () => {
      store.set('order-0', 'paid')
      shared.isAway = true
    }
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['kept', 'cancelled'])
  })

  test('all is held back while the keeper is away, whatever was known, and goes on once it is back', async () => {
    for (const wasKnown of [false, true]) {
      const { brake, store, shared, held } = createBrake({ maxPerMinute: 10 })
      if (wasKnown) await brake.refresh()
      shared.isAway = true
      const checks = store.placeMany(3)
      expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['postponed', 'postponed', 'postponed'])
      const unknown = { orders: 3, reason: 'unknown', cause: 'its state is not known: Redis is away' }
      expect([store.count('cancelled'), held]).toEqual([0, [unknown]])
      shared.isAway = false
      expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['cancelled', 'cancelled', 'cancelled'])
    }
  })

  test('a grant whose answer is lost is given back, and does not engage it', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 3 })
    await brake.refresh()
    const checks = store.placeMany(3)
    shared.losesAnswers = true
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['postponed', 'postponed', 'postponed'])
    expect(shared.calls).toEqual(['status', 'reserve 3', 'use 0'])
    shared.losesAnswers = false
    expect(kinds(await brake.cancelUnpaid(checks))).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect(shared.state.engaged).toBe(false)
  })

  test.each([
    [5_000, 'cancelled', 1],
    [5_001, 'postponed', 0],
  ])('a grant that is %d ms old: %s', async (ageMs, kind, lastMinute) => {
    const { brake, store, shared, clock, held } = createBrake({ maxPerMinute: 3 })
    shared.beforeAnswer = (what) => (what === 'reserve 1' ? clock.advance(ageMs) : undefined)
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual([kind])
    expect(shared.state.lastMinute).toBe(lastMinute)
    expect(held.map(({ reason }) => reason)).toEqual(kind === 'cancelled' ? [] : ['unknown'])
  })

  test('a brake that somebody engaged since the last look counts', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 10 })
    await brake.refresh()
    shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual(['postponed'])
    expect(brake.known).toMatchObject({ engaged: true })
  })

  test('suspended, it holds back nothing', async () => {
    const { brake, store, shared } = createBrake({ maxPerMinute: 2 })
    shared.isSuspended = true
    await brake.cancelUnpaid(store.placeMany(50))
    expect(store.count('cancelled')).toBe(50)
  })

  test('a store that fails makes it reject; nothing is said to be held back', async () => {
    const { brake, store, held } = createBrake({ maxPerMinute: 10 })
    store.beforeCancel = () => {
      throw new Error('the store is away')
    }
    await expect(brake.cancelUnpaid(store.placeMany(1))).rejects.toThrow('the store is away')
    expect(held).toEqual([])
  })

  test('never lets through more than it says, nor loses an order, whatever the batches and whoever is away', async () => {
    const batch = fc.record({ size: fc.nat(12), away: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.nat(30), fc.array(batch, { maxLength: 8 }), async (limit, batches) => {
        const { brake, store, shared } = createBrake({ maxPerMinute: limit })
        for (const { size, away } of batches) {
          shared.isAway = away
          const outcomes = await brake.cancelUnpaid(store.placeMany(size))
          expect(outcomes).toHaveLength(size)
          expect(outcomes.every(({ kind }) => kind === 'cancelled' || kind === 'postponed')).toBe(true)
        }
        expect(store.count('cancelled')).toBeLessThanOrEqual(limit)
      }),
    )
  })
})

describe('with a silence of a minute', () => {
  const silence = { paymentSilenceMs: 60_000 }

  test('payments that go on let all through', async () => {
    const { brake, store, clock, shared } = createBrake(silence)
    for (let minute = 0; minute < 5; minute++) {
      store.setNewestPayment(store.now - 59_000)
      await brake.cancelUnpaid(store.placeMany(3))
      await clock.advance(60_000)
      store.clock.now += 60_000
    }
    expect([store.count('cancelled'), shared.state.engaged]).toEqual([15, false])
  })

  test('it engages when an order falls due and the newest payment is older', async () => {
    const { brake, store, shared, changes } = createBrake(silence)
    store.setNewestPayment(NOW - 60_001)
    expect(kinds(await brake.cancelUnpaid(store.placeMany(2)))).toEqual(['postponed', 'postponed'])
    expect(shared.state).toMatchObject({ engaged: true, reason: 'payment-silence', by: 'test:1' })
    expect(shared.calls).toEqual(['status', 'engage payment-silence'])
    expect(changes).toHaveLength(1)
  })

  test('as long as the silence is not longer, it does not', async () => {
    const { brake, store } = createBrake(silence)
    store.setNewestPayment(NOW - 60_000)
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual(['cancelled'])
  })

  test('it does not engage where no order falls due, and does not ask for payments', async () => {
    const { brake, store, shared } = createBrake(silence)
    store.setNewestPayment(NOW - 3_600_000)
    store.set('paid', 'paid')
    await brake.cancelUnpaid([{ orderId: 'paid', deadline: 0 }, ...store.placeMany(1, NOW + 1_000)])
    expect([shared.state.engaged, store.calls.map(({ what }) => what)]).toEqual([false, ['dryRun']])
  })

  test('where no order was ever paid, it counts from the first that fell due here', async () => {
    const { brake, store, clock, shared } = createBrake(silence)
    const later = async (ms: number) => {
      await clock.advance(ms)
      store.clock.now += ms
      return kinds(await brake.cancelUnpaid(store.placeMany(1)))
    }
    expect(await later(0)).toEqual(['cancelled'])
    expect(await later(60_000)).toEqual(['cancelled'])
    expect(await later(1)).toEqual(['postponed'])
    expect(shared.state.reason).toBe('payment-silence')
  })

  test('the store is asked for the newest payment at most once in a twentieth of the silence', async () => {
    const { brake, store, clock } = createBrake(silence)
    store.setNewestPayment(NOW)
    const asked = () => store.calls.filter(({ what }) => what === 'payment').length
    await brake.cancelUnpaid(store.placeMany(1))
    await clock.advance(3_000)
    await brake.cancelUnpaid(store.placeMany(1))
    expect(asked()).toBe(1)
    await clock.advance(1)
    await brake.cancelUnpaid(store.placeMany(1))
    expect(asked()).toBe(2)
  })

  test('and once in a minute, however long the silence', async () => {
    const { brake, store, clock } = createBrake({ paymentSilenceMs: 30 * 86_400_000 })
    store.setNewestPayment(NOW)
    await brake.cancelUnpaid(store.placeMany(1))
    await clock.advance(60_001)
    await brake.cancelUnpaid(store.placeMany(1))
    expect(store.calls.filter(({ what }) => what === 'payment')).toHaveLength(2)
  })

  test('suspended, it does not engage, and lets all through', async () => {
    const { brake, store, shared } = createBrake(silence)
    store.setNewestPayment(NOW - 3_600_000)
    shared.isSuspended = true
    expect(kinds(await brake.cancelUnpaid(store.placeMany(2)))).toEqual(['cancelled', 'cancelled'])
  })

  test.each<[code: ErrorCode, given: ErrorCode]>([
    ['STORE_UNAVAILABLE', 'STORE_UNAVAILABLE'],
    ['STORE_LOCKED', 'STORE_LOCKED'],
    // No order is to blame.
    ['STORE_BUSY', 'STORE_UNAVAILABLE'],
    ['STORE_MISMATCH', 'STORE_UNAVAILABLE'],
    ['STORE_REJECTED', 'STORE_UNAVAILABLE'],
  ])('a newest payment that cannot be read (%s) is an error of the store, each time', async (code, given) => {
    const { brake, store, held } = createBrake(silence)
    store.newestPayment = () => Promise.reject(new OrderExpiryError(code, 'no index'))
    for (const checks of [store.placeMany(1), store.placeMany(1)])
      await expect(brake.cancelUnpaid(checks)).rejects.toMatchObject({
        code: given,
        message: expect.stringMatching(/newest payment.*no index/),
      })
    expect([store.count('cancelled'), held]).toEqual([0, []])
  })

  test('a keeper that is away holds all back', async () => {
    const { brake, store, shared } = createBrake(silence)
    store.setNewestPayment(NOW)
    shared.isAway = true
    expect(kinds(await brake.cancelUnpaid(store.placeMany(1)))).toEqual(['postponed'])
  })
})

describe('of orders whose payments are to be closed first', () => {
  function openShop(options: Partial<BrakeOptions> = {}) {
    const store = new RecordingStore()
    const opened = createBrake({ ...options, store })
    const payable = ({ orderId }: { orderId: string }): Outcome => {
      const decidedAt = opened.clock.now()
      const evidence = { decidedAt, status: 'pending', deadline: decidedAt }
      return {
        kind: 'postponed',
        until: decidedAt + 1,
        reason: 'payment',
        payment: { reference: `pi_${orderId}` },
        evidence,
      }
    }
    store.cancelUnpaid = async (checks) => checks.map(payable)
    const reasons = async (count: number) => {
      const outcomes = await opened.brake.cancelUnpaid(store.placeMany(count))
      return outcomes.map((outcome) => outcome.kind === 'postponed' && outcome.reason)
    }
    return { ...opened, reasons }
  }

  test('none is closed while it is engaged by hand', async () => {
    const { brake, shared, held, reasons } = openShop()
    expect(await reasons(1)).toEqual(['payment'])
    shared.state = { engaged: true, reason: 'manual', lastMinute: 0 }
    await brake.refresh()
    expect(await reasons(2)).toEqual(['brake', 'brake'])
    expect(held).toMatchObject([{ orders: 2, reason: 'manual' }])
  })

  test('no more are closed than may be cancelled in the minute', async () => {
    const { clock, reasons } = openShop({ maxPerMinute: 3 })
    expect(await reasons(2)).toEqual(['payment', 'payment'])
    expect(await reasons(2)).toEqual(['payment', 'brake'])
    await clock.advance(60_000)
    expect(await reasons(1)).toEqual(['payment'])
  })

  test('a silence engages it', async () => {
    const { clock, shared, reasons } = openShop({ paymentSilenceMs: 60_000 })
    expect(await reasons(1)).toEqual(['payment'])
    await clock.advance(61_000)
    expect(await reasons(1)).toEqual(['brake'])
    expect(shared.state).toMatchObject({ engaged: true, reason: 'payment-silence' })
  })
})
