import { describe, expect, test } from '@jest/globals'
import { Closings, type ClosingsOptions, type FoundPayment } from '../../../src/order/closings.ts'
import type { Check, Outcome } from '../../../src/order/order.ts'
import type { Closing, Verdict } from '../../../src/order/payment-gateway.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const DEADLINE = Date.UTC(2030, 0, 1)
const GRACE = 900_000

/** Orders of which each has an open payment, until its closing is known to the store. */
function openShop(
  options: Partial<ClosingsOptions> & { answer?: (closing: Closing) => Verdict | Promise<Verdict> } = {},
) {
  const clock = new FakeClock(DEADLINE)
  const asked: Closing[] = []
  const found: FoundPayment[] = []
  const references = new Map<string, string>()
  const cancelled = new Set<string>()
  const { answer = () => ({ kind: 'closed' }), ...others } = options
  const closings = new Closings({
    gateway: {
      name: 'test',
      async close(closing) {
        asked.push(closing)
        return answer(closing)
      },
      dispose: async () => {},
    },
    turns: { take: async () => 0 },
    graceMs: GRACE,
    captureChecksOrder: false,
    onVerdict: () => {},
    onFound: async (payment) => void found.push(payment),
    clock,
    random: () => 0.5,
    ...others,
  })
  const cancelUnpaid = closings.guard(async (checks) =>
    checks.map(({ orderId, closed }): Outcome => {
      const evidence = { decidedAt: clock.now(), status: 'pending', deadline: DEADLINE }
      const reference = references.get(orderId) ?? `pi_${orderId}`
      if (cancelled.has(orderId)) return { kind: 'kept', status: 'cancelled', evidence }
      if (reference === closed) cancelled.add(orderId)
      if (reference === closed) return { kind: 'cancelled', at: clock.now(), evidence }
      return { kind: 'postponed', until: clock.now() + 5_000, reason: 'payment', payment: { reference }, evidence }
    }),
  )
  const settle = (...ids: string[]) => cancelUnpaid(ids.map((orderId): Check => ({ orderId, deadline: DEADLINE })))
  /** Asks until nothing is under way. */
  const settleToTheEnd = async (id: string): Promise<Outcome> => {
    const [outcome] = (await settle(id)) as [Outcome]
    if (!('closed' in outcome && outcome.closed)) return outcome
    await clock.advance(1_000)
    await outcome.closed
    return settleToTheEnd(id)
  }
  return { clock, asked, found, references, cancelled, settle, settleToTheEnd }
}

test('an order is cancelled once its payment is closed, and not before', async () => {
  const { promise, resolve } = deferred<Verdict>()
  const { settle, asked } = openShop({ answer: () => promise })
  const [first] = await settle('a')
  expect(first).toMatchObject({ kind: 'postponed', reason: 'payment' })
  expect(await settle('a')).toMatchObject([{ kind: 'postponed', reason: 'payment' }])
  resolve({ kind: 'closed' })
  await (first as { closed?: Promise<void> }).closed
  expect(await settle('a')).toMatchObject([{ kind: 'cancelled' }])
  expect(asked).toMatchObject([
    {
      orderId: 'a',
      payment: { reference: 'pi_a' },
      deadline: DEADLINE,
      idempotencyKey: expect.stringMatching(/^[\w-]{20,64}$/),
    },
  ])
})

test('another payment of the same order is closed too', async () => {
  const { settle, settleToTheEnd, references, asked } = openShop()
  const [first] = await settle('a')
  references.set('a', 'pi_again')
  await (first as { closed?: Promise<void> }).closed
  expect(await settleToTheEnd('a')).toMatchObject({ kind: 'cancelled' })
  expect(asked.map(({ payment }) => payment.reference)).toEqual(['pi_a', 'pi_again'])
})

describe('a payment that was made', () => {
  test.each(['paid', 'authorised'] as const)('%s: its order is kept, and it is told once', async (kind) => {
    const { settleToTheEnd, found, asked } = openShop({ answer: () => ({ kind }) })
    expect(await settleToTheEnd('a')).toMatchObject({ kind: 'kept', status: 'pending', evidence: { paid: true } })
    expect(await settleToTheEnd('a')).toMatchObject({ kind: 'kept' })
    expect(asked).toHaveLength(1)
    expect(found).toMatchObject([{ orderId: 'a', payment: { reference: 'pi_a' }, verdict: kind, at: DEADLINE }])
  })

  test('is not kept before it is told of', async () => {
    const { promise, resolve } = deferred<void>()
    const { settle } = openShop({ answer: () => ({ kind: 'paid' }), onFound: () => promise })
    const [first] = await settle('a')
    await new Promise(setImmediate)
    expect(await settle('a')).toMatchObject([{ kind: 'postponed', reason: 'payment' }])
    resolve()
    await (first as { closed?: Promise<void> }).closed
    expect(await settle('a')).toMatchObject([{ kind: 'kept' }])
  })

  test('does not pass for told while it could not be', async () => {
    let isDown = true
    const found: FoundPayment[] = []
    const { clock, settleToTheEnd } = openShop({
      answer: () => ({ kind: 'paid' }),
      onFound: async (payment) => {
        if (isDown) throw new Error('down')
        found.push(payment)
      },
    })
    expect(await settleToTheEnd('a')).toMatchObject({ kind: 'postponed', reason: 'payment' })
    isDown = false
    await clock.advance(2_000)
    expect(await settleToTheEnd('a')).toMatchObject({ kind: 'kept' })
    expect(found).toHaveLength(1)
  })
})

describe('a payment that is neither made nor closed', () => {
  test.each(['in-flight', 'closing', 'cannot-close'] as const)(
    '%s: keeps its order waiting until the grace is over, and then fails its check, but never cancels it',
    async (kind) => {
      const { clock, settleToTheEnd, asked } = openShop({ answer: () => ({ kind }) })
      for (const until = clock.now() + GRACE; clock.now() <= until; await clock.advance(10_000)) {
        expect(await settleToTheEnd('a')).toMatchObject({ kind: 'postponed', reason: 'payment' })
      }
      expect(await settleToTheEnd('a')).toMatchObject({ kind: 'rejected', error: { code: 'PAYMENT_UNSETTLED' } })
      expect(asked.length).toBeGreaterThan(5)
      expect(asked.length).toBeLessThan(40)
    },
  )

  test('is asked about again when the provider says', async () => {
    const { clock, settleToTheEnd, asked } = openShop({ answer: () => ({ kind: 'closing', retryAfterMs: 7_000 }) })
    const outcome = await settleToTheEnd('a')
    expect(outcome).toMatchObject({ kind: 'postponed', until: DEADLINE + 7_000 })
    await clock.advance(5_000)
    await settleToTheEnd('a')
    expect(asked).toHaveLength(1)
    await clock.advance(1_000)
    await settleToTheEnd('a')
    expect(asked).toHaveLength(2)
  })

  test('is waited for from its first verdict on, where it is asked about late, and no longer than until then', async () => {
    const { clock, settleToTheEnd } = openShop({ answer: () => ({ kind: 'in-flight', retryAfterMs: 86_400_000 }) })
    await clock.advance(2 * GRACE)
    const outcome = await settleToTheEnd('a')
    expect(outcome).toMatchObject({ kind: 'postponed' })
    expect((outcome as { until: number }).until - clock.now()).toBeLessThan(GRACE + 5_000)
    await clock.advance(GRACE + 5_000)
    expect(await settleToTheEnd('a')).toMatchObject({ kind: 'rejected', error: { code: 'PAYMENT_UNSETTLED' } })
  })

  test.each([31_536_000_000, Number.POSITIVE_INFINITY])(
    'is asked about again, even if the provider says in %d ms',
    async (ms) => {
      const { clock, settleToTheEnd, asked } = openShop({
        answer: () => ({ kind: 'unknown', isThere: true, retryAfterMs: ms }),
      })
      await settleToTheEnd('a')
      await clock.advance(3_600_000)
      await settleToTheEnd('a')
      expect(asked).toHaveLength(2)
    },
  )

  test('without a verdict keeps its order waiting for as long as it takes', async () => {
    const { clock, settleToTheEnd } = openShop({ answer: () => ({ kind: 'unknown', isThere: true }) })
    for (let n = 0; n < 10; n++, await clock.advance(GRACE)) {
      expect(await settleToTheEnd('a')).toMatchObject({ kind: 'postponed', reason: 'payment' })
    }
  })
})

test('a payment that cannot be closed is no obstacle where the capture looks at the order', async () => {
  const { settleToTheEnd } = openShop({ answer: () => ({ kind: 'cannot-close' }), captureChecksOrder: true })
  expect(await settleToTheEnd('a')).toMatchObject({ kind: 'cancelled' })
})

test('a provider that does not answer is called ever more rarely, and by one at a time until it does', async () => {
  let isAway = true
  const { clock, settle, asked, cancelled } = openShop({
    answer: () => (isAway ? { kind: 'unknown' } : { kind: 'closed' }),
  })
  const ids = Array.from({ length: 50 }, (_, n) => `${n}`)
  const run = async (seconds: number) => {
    for (let n = 0; n < seconds; n++) {
      await settle(...ids)
      await clock.advance(1_000)
    }
  }
  await run(10)
  const begun = asked.length
  await run(300)
  expect(asked.length - begun).toBeLessThan(100)
  isAway = false
  await run(60)
  expect(cancelled.size).toBe(ids.length)
})

test('whoever has to wait long for a turn comes back for it, and others do not wait', async () => {
  const turns = new Map([['late', 60_000]])
  const { clock, settleToTheEnd, asked } = openShop({ turns: { take: async (id) => turns.get(id) ?? 0 } })
  const outcome = await settleToTheEnd('late')
  expect(outcome).toMatchObject({ kind: 'postponed', reason: 'payment' })
  expect((outcome as { until: number }).until - clock.now()).toBeGreaterThan(50_000)
  expect(await settleToTheEnd('soon')).toMatchObject({ kind: 'cancelled' })
  turns.clear()
  await clock.advance(60_000)
  expect(await settleToTheEnd('late')).toMatchObject({ kind: 'cancelled' })
  expect(asked.map(({ orderId }) => orderId)).toEqual(['soon', 'late'])
})

test('no more than 64 are under way; those without room come back when there is some', async () => {
  const { promise, resolve } = deferred<Verdict>()
  const { clock, settle, asked, cancelled } = openShop({ answer: () => promise })
  const ids = Array.from({ length: 300 }, (_, n) => `${n}`)
  const outcomes = await settle(...ids)
  await clock.advance(0)
  expect(asked).toHaveLength(64)
  expect(outcomes.filter((outcome) => 'closed' in outcome)).toHaveLength(64)
  resolve({ kind: 'closed' })
  for (let rounds = 0; rounds < 10; rounds++) {
    await clock.advance(1_000)
    await settle(...ids)
  }
  expect(cancelled.size).toBe(ids.length)
})
