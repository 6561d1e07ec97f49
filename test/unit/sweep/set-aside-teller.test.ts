import { expect, test } from '@jest/globals'
import { EventBus } from '../../../src/observe/events.ts'
import { createSetAsideTeller } from '../../../src/sweep/set-aside-teller.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** Looks once a minute at what it is given. @returns what it told, as [minute, backlog, unreadable] */
async function tellOf(minutes: readonly [backlog: number, unreadable: number][]): Promise<number[][]> {
  const clock = new FakeClock()
  const events = new EventBus()
  const told: number[][] = []
  let minute = 0
  const tell = createSetAsideTeller({
    async read() {
      const [backlog, unreadable] = minutes[minute] as [number, number]
      return { backlog: { orders: backlog, oldest: 1 }, unreadable: { orders: unreadable, examples: [] } }
    },
    events,
    clock,
  })
  events.on('orders-set-aside', ({ backlog, unreadable }) => told.push([minute, backlog.orders, unreadable.orders]))
  for (; minute < minutes.length; minute++) {
    await tell()
    await clock.advance(MINUTE)
  }
  return told
}

test('tells when it first finds some, when they have doubled or halved, and when there are none any longer', async () => {
  const minutes: [number, number][] = [
    [0, 0],
    [3_000, 0],
    [2_900, 0],
    [1_500, 0],
    [1_499, 0],
    [1_499, 1],
    [1_400, 2],
    [1_400, 3],
    [0, 3],
    [0, 0],
    [0, 0],
  ]
  expect(await tellOf(minutes)).toEqual([
    [1, 3_000, 0],
    [4, 1_499, 0],
    [5, 1_499, 1],
    [7, 1_400, 3],
    [8, 0, 3],
    [9, 0, 0],
  ])
})

test('tells once an hour of those that stay, and never of none', async () => {
  expect(await tellOf(new Array(150).fill([5, 0]))).toEqual([0, 60, 120].map((minute) => [minute, 5, 0]))
  expect(await tellOf(new Array(150).fill([0, 0]))).toEqual([])
})

test('what changes back and forth is told of once a minute at most', async () => {
  const clock = new FakeClock()
  const events = new EventBus()
  let told = 0
  events.on('orders-set-aside', () => told++)
  let orders = 0
  const tell = createSetAsideTeller({
    read: async () => ({ backlog: { orders: orders++ % 2 }, unreadable: { orders: 0, examples: [] } }),
    events,
    clock,
  })
  for (let n = 0; n < HOUR / 1_000; n++) {
    await tell()
    await clock.advance(1_000)
  }
  expect(told).toBeGreaterThan(20)
  expect(told).toBeLessThanOrEqual(60)
})

test('a store that has none is not told of; one that cannot tell is, as an error of the store', async () => {
  const events = new EventBus()
  const errors: unknown[] = []
  events.on('store-error', ({ error }) => errors.push(error))
  events.on('orders-set-aside', () => errors.push('told'))
  const clock = new FakeClock()
  await createSetAsideTeller({ read: () => undefined, events, clock })()
  expect(errors).toEqual([])
  await createSetAsideTeller({ read: () => Promise.reject(new Error('away')), events, clock })()
  expect(errors).toEqual([expect.objectContaining({ code: 'UNEXPECTED', message: expect.stringContaining('away') })])
})
