import { expect, test } from '@jest/globals'
import { Overdue } from '../../../src/sweep/overdue.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { MemoryStore } from '../../helpers/memory-store.ts'

const NOW = 1_000_000_000

/** A store with unpaid orders that are due at these times. */
function createOverdue(deadlines: number[], tookMs = 0) {
  const clock = new FakeClock()
  let looks = 0
  const store = new MemoryStore({ now: () => NOW }).refuse('cancelUnpaid', 'find', 'newestPayment', 'close')
  for (const [index, deadline] of deadlines.entries()) store.place(`${index}`, deadline)
  store.ping = async () => {
    looks++
    await clock.advance(tookMs)
    return NOW
  }
  return { overdue: new Overdue({ store: () => store, clock }), clock, looks: () => looks, store }
}

test('what is later than a worker or a sweep would be is counted, with the age of the oldest', async () => {
  const { overdue } = createOverdue([NOW - 90_000, NOW - 10_000, NOW - 9_999, NOW + 5])
  expect(await overdue.read()).toEqual({ orders: 2, oldestSeconds: 90 })
  expect(await createOverdue([]).overdue.read()).toEqual({ orders: 0, oldestSeconds: 0 })
})

test('many are counted to their end, very many are not', async () => {
  const late = (count: number) => new Array<number>(count).fill(NOW - 60_000)
  for (const count of [999, 1_000, 1_001, 10_000]) {
    expect(await createOverdue(late(count)).overdue.read()).toEqual({ orders: count, oldestSeconds: 60 })
  }
  expect((await createOverdue(late(12_345)).overdue.read()).orders).toBe(10_000)
})

test('who asks at once shares a look, and who asks soon after gets the same answer', async () => {
  const { overdue, clock, looks, store } = createOverdue([NOW - 90_000])
  await Promise.all([overdue.read(), overdue.read()])
  await clock.advance(4_999)
  store.orders.clear()
  expect([(await overdue.read()).orders, looks()]).toEqual([1, 1])
  await clock.advance(1)
  expect([(await overdue.read()).orders, looks()]).toEqual([0, 2])
})

test('a store that takes long is asked more seldom', async () => {
  const { overdue, clock, looks } = createOverdue([], 1_000)
  await overdue.read()
  await clock.advance(19_999)
  await overdue.read()
  expect(looks()).toBe(1)
  await clock.advance(1)
  await overdue.read()
  expect(looks()).toBe(2)
})

test('a store that is away is asked again', async () => {
  let isAway = true
  const { overdue, store } = createOverdue([])
  store.ping = async () => {
    if (isAway) throw new Error('away')
    return NOW
  }
  await expect(overdue.read()).rejects.toThrow('away')
  isAway = false
  expect(await overdue.read()).toEqual({ orders: 0, oldestSeconds: 0 })
})
