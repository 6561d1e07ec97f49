import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { createSettle } from '../../../src/order/settle.ts'
import { type DuePart, StandIn } from '../../../src/sweep/stand-in.ts'
import { sweepDue } from '../../../src/sweep/sweep-due.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { MemoryStore } from '../../helpers/memory-store.ts'
import { postponed } from './create-sweep.ts'

/** @param options.aheadMs by how much the clock of the store is ahead of ours */
function createStandIn({ random = 0, aheadMs = 0 } = {}) {
  const clock = new FakeClock()
  const store = new MemoryStore({ now: () => clock.now() + aheadMs })
  const began = store.now
  const parts: DuePart[] = []
  const asked: string[][] = []
  const settle = createSettle({ store, clock })
  const standIn = new StandIn({
    store,
    sweepDue(part) {
      parts.push(part)
      return sweepDue({
        ...part,
        store,
        async settle(checks) {
          asked.push(checks.map(({ orderId }) => orderId))
          return settle(checks)
        },
        addChecks: async () => 0,
        pageSize: 3,
        clock,
        random: () => random,
      })
    },
    clock,
    random: () => random,
  })
  const memory = { leftBehind: new Map<string, string>() }
  const { signal } = new AbortController()
  async function sweep() {
    let isDone = false
    const swept = standIn.sweep({ memory, signal }).finally(() => {
      isDone = true
    })
    while (!isDone) await clock.advance(0)
    return swept
  }
  return {
    clock,
    store,
    memory,
    asked,
    /** Names it by its deadline, in milliseconds after the beginning. */
    place: (dueIn: number) => store.place(`${dueIn}`, began + dueIn),
    sweep,
    /** Sweeps once, and lets its pause pass. @returns the pause */
    async next() {
      const { pauseMs } = await sweep()
      await clock.advance(pauseMs)
      return pauseMs
    },
    /** From when on each sweep has looked, in milliseconds after the beginning; undefined: at all. */
    since: () => parts.map(({ since }) => since && since - began),
    status: () => Object.fromEntries([...store.orders.values()].map(({ orderId, status }) => [orderId, status])),
  }
}

describe('the pause', () => {
  test.each([
    ['half a second where nothing falls due in that time', [], 500],
    ['until the next deadline', [-1, 300, 400], 300],
    ['until a deadline in a fraction of a millisecond', [300.5], 300.5],
    ['no less than a fifth of a second', [-1, 10], 200],
    ['no longer than half a second, for an order may come meanwhile', [501], 500],
  ])('is %s', async (_, due, pauseMs) => {
    const { place, sweep } = createStandIn()
    for (const each of due) place(each)
    expect((await sweep()).pauseMs).toBe(pauseMs)
  })

  test('differs from process to process', async () => {
    expect((await createStandIn({ random: 1 }).sweep()).pauseMs).toBe(550)
  })
})

test('each order is cancelled when it falls due, one that came later and is due sooner as well', async () => {
  const { place, next, status } = createStandIn()
  place(700)
  expect([await next(), await next()]).toEqual([500, 200])
  expect(status()).toEqual({ 700: 'pending' })
  place(750)
  await next()
  expect(status()).toEqual({ 700: 'cancelled', 750: 'pending' })
  await next()
  expect(status()).toEqual({ 700: 'cancelled', 750: 'cancelled' })
})

test.each([3_600_000, -3_600_000])('goes by the clock of the store (%p)', async (aheadMs) => {
  const { place, next, status } = createStandIn({ aheadMs })
  place(300)
  expect(Math.abs((await next()) - 300)).toBeLessThanOrEqual(5)
  for (let n = 0; n < 2; n++) await next()
  expect(status()).toEqual({ 300: 'cancelled' })
})

test('all that is due is looked at every ten seconds, and what has fallen due in the last ten in between', async () => {
  const { next, since, store, place } = createStandIn()
  place(-3_600_000)
  for (let n = 0; n < 20; n++) await next()
  expect(since().slice(0, 3)).toEqual([undefined, -9_500, -9_000])
  expect(since().filter((each) => each === undefined)).toHaveLength(1)
  for (let n = 0; n < 3; n++) await next()
  expect(since().filter((each) => each === undefined)).toHaveLength(2)
  expect(store.count('cancelled')).toBe(1)
})

test('an order that came overdue is found, of late at once, of long ago within ten seconds', async () => {
  const { place, next, store, clock } = createStandIn()
  place(0)
  await next()
  place(-5_000)
  place(-50_000)
  await next()
  expect(store.count('cancelled')).toBe(2)
  await clock.advance(10_000)
  await next()
  expect(store.count('cancelled')).toBe(3)
})

test('a locked order is tried again by each sweep', async () => {
  const { place, next, status } = createStandIn()
  const order = place(-1)
  order.isLocked = true
  expect([await next(), await next()]).toEqual([200, 200])
  order.isLocked = false
  await next()
  expect(status()).toEqual({ '-1': 'cancelled' })
})

test('a rejected order is tried again only with all others, and holds up none', async () => {
  const { place, next, asked, status, clock, memory } = createStandIn()
  place(-1)
  memory.leftBehind.set('-1', 'STORE_REJECTED')
  await next() // all are tried
  expect(asked).toEqual([['-1']])
  place(100)
  memory.leftBehind.set('100', 'STORE_REJECTED')
  place(101)
  await next()
  await next()
  expect(asked).toEqual([['-1'], ['101']])
  await clock.advance(10_000)
  await next()
  expect(status()).toEqual({ '-1': 'cancelled', 100: 'cancelled', 101: 'cancelled' })
})

describe('where it can do nothing', () => {
  const error = new OrderExpiryError('STORE_UNAVAILABLE', 'away')

  test.each<[string, (made: ReturnType<typeof createStandIn>) => void]>([
    ['the store does not answer', ({ store }) => Object.assign(store, { ping: () => Promise.reject(error) })],
    ['it cannot be read', ({ store }) => Object.assign(store, { unpaidDueBefore: () => Promise.reject(error) })],
    ['it does not cancel', ({ store }) => Object.assign(store, { cancelUnpaid: () => Promise.reject(error) })],
    ['the brake is engaged', ({ store }) => Object.assign(store, { cancelUnpaid: async () => [postponed('brake')] })],
    ['it is a dry run', ({ store }) => Object.assign(store, { cancelUnpaid: async () => [postponed('dry-run')] })],
  ])('%s: it comes ever more rarely, and looks at all; once it can, it goes on as before', async (_, breakIt) => {
    const made = createStandIn({ random: 1 })
    made.place(-1)
    const whole = { ...made.store }
    const { ping, unpaidDueBefore, cancelUnpaid } = MemoryStore.prototype
    breakIt(made)
    const pauses = []
    for (let n = 0; n < 6; n++) pauses.push(await made.next())
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000])
    expect(made.since().every((since) => since === undefined)).toBe(true)
    Object.assign(made.store, whole, { ping, unpaidDueBefore, cancelUnpaid })
    expect(await made.next()).toBe(550)
    expect(made.status()).toEqual({ '-1': 'cancelled' })
    expect(made.since().at(-1)).toBeUndefined()
    await made.next()
    expect(made.since().at(-1)).toBeDefined()
  })

  test('tells of the error', async () => {
    const { store, sweep } = createStandIn()
    Object.assign(store, { ping: () => Promise.reject(error) })
    expect((await sweep()).result).toMatchObject({ overdue: 0, error })
  })
})

test('what is due by our estimate, but not by the store itself, is looked at again soon', async () => {
  const { store, place, sweep } = createStandIn()
  place(-1)
  Object.assign(store, { cancelUnpaid: async () => [postponed('not-due')] })
  expect((await sweep()).pauseMs).toBe(200)
})
