import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { sweep } from '../../../src/sweep/sweep.ts'
import type { SweepOptions } from '../../../src/sweep/sweep-options.ts'
import { MemoryStore } from '../../helpers/memory-store.ts'
import { AHEAD, createSweep, failed, NOW, ordersDue, postponed } from './create-sweep.ts'

const left = { orders: 0 }
const DAY = 86_400_000
const YEAR = 365 * DAY

test('settles what is overdue by more than five seconds, page by page, and adds checks for what is due soon', async () => {
  const orders = ordersDue(-60_000, -50_000, -40_000, -5_001, -5_000, -4_999, -1, 0, 1, 599_999, 600_000, 600_001)
  const { run, settled, added } = createSweep(orders)
  expect(await run()).toEqual({
    overdue: 5,
    outcomes: { cancelled: 5 },
    left,
    upcoming: 6,
    added: 6,
  })
  expect(settled).toEqual([
    ['-60000', '-50000', '-40000'],
    ['-5001', '-5000'],
  ])
  expect(added.flat()).toEqual(['-4999', '-1', '0', '1', '599999', '600000'])
})

test('pages by the last order of the page before, and asks no more after a page that is not full', async () => {
  const { run, asked } = createSweep(ordersDue(-40_000, -30_000, -20_000, -10_000, 1_000))
  await run()
  expect(asked).toEqual([
    { instant: NOW - 5_000, after: undefined, limit: 3 },
    { instant: NOW - 5_000, after: '-20000', limit: 3 },
    { instant: NOW + AHEAD, after: '-10000', limit: 3 },
  ])
})

test('with nothing to do, asks twice', async () => {
  const { run, asked, settled, added } = createSweep([])
  expect(await run()).toEqual({ overdue: 0, outcomes: {}, left, upcoming: 0, added: 0 })
  expect([asked.length, settled, added]).toEqual([2, [], []])
})

test('counts what became of each, a dry run by its own name', async () => {
  const became = { '-30000': failed('STORE_REJECTED'), '-20000': postponed('locked'), '-10000': postponed('dry-run') }
  const { run } = createSweep(ordersDue(-40_000, -30_000, -20_000, -10_000), { became })
  expect((await run()).outcomes).toEqual({ cancelled: 1, failed: 1, postponed: 1, 'would-cancel': 1 })
})

test('a page of bad and locked orders does not hold up those behind it', async () => {
  const became = {
    '-60000': failed('STORE_REJECTED'),
    '-50000': postponed('locked'),
    '-40000': failed('STORE_LOCKED'),
  }
  const { run, settled } = createSweep(ordersDue(-60_000, -50_000, -40_000, -30_000, 1_000), { became })
  expect(await run()).toMatchObject({ overdue: 4, upcoming: 1, added: 1, failed: { orderId: '-60000' } })
  expect(settled[1]).toEqual(['-30000'])
})

test('tells before and after each page, and pauses between them for a quarter of the time they took', async () => {
  const { wanted, clock, steps } = createSweep(ordersDue(-60_000, -50_000, -40_000, -30_000, 1_000))
  const { settle } = wanted
  const result = sweep({
    ...wanted,
    async settle(checks) {
      await clock.sleep(400)
      return settle(checks)
    },
  })
  await clock.advance(400)
  expect(steps).toHaveLength(2)
  expect(clock.sleeping).toEqual([100])
  await clock.advance(99)
  expect(clock.sleeping).toEqual([1])
  await clock.advance(10_000)
  await result
  expect(steps).toEqual([
    [0, 0],
    [1, 0],
    [1, 0],
    [2, 0],
    [2, 0],
    [2, 1],
  ])
})

describe('stops', () => {
  test('to settle at two pages in a row that meet an outage, but still adds the checks of what is due soon', async () => {
    const became = { '-60000': failed('STORE_UNAVAILABLE'), '-30000': failed('STORE_REFUSED') }
    const { run, settled, added, asked } = createSweep(
      ordersDue(-90_000, -80_000, -70_000, -60_000, -50_000, -40_000, -30_000, -20_000, -15_000, -10_000, 1_000),
      { became },
    )
    expect(await run()).toEqual({
      overdue: 9,
      outcomes: { cancelled: 7, failed: 2 },
      left: { orders: 2, oldest: expect.objectContaining({ orderId: '-60000', why: 'STORE_UNAVAILABLE' }) },
      upcoming: 1,
      added: 1,
      failed: { orderId: '-60000', error: expect.objectContaining({ code: 'STORE_UNAVAILABLE' }) },
      error: expect.objectContaining({ code: 'STORE_UNAVAILABLE' }),
    })
    expect([settled.length, added]).toEqual([3, [['1000']]])
    // What is overdue is not read once more.
    expect(asked.at(-1)).toEqual({ instant: NOW + AHEAD, after: '-15000', limit: 3 })
  })

  test('not at a single page that meets an outage, which it tells of', async () => {
    const became = { '-90000': failed('STORE_MISMATCH'), '-30000': failed('STORE_REFUSED') }
    const { run, settled } = createSweep(
      ordersDue(-90_000, -80_000, -70_000, -60_000, -50_000, -40_000, -30_000, -20_000, -15_000, -10_000, 1_000),
      { became },
    )
    expect(await run()).toMatchObject({ overdue: 10, upcoming: 1, added: 1, error: { code: 'STORE_MISMATCH' } })
    expect(settled.length).toBe(4)
  })

  test('to settle where the brake holds back, but still adds the checks of what is due soon, and no others', async () => {
    const became = { '-50000': postponed('brake') }
    const { run, settled, added } = createSweep(
      ordersDue(-60_000, -50_000, -40_000, -30_000, -20_000, -10_000, 1_000),
      {
        became,
      },
    )
    const result = await run()
    expect(result).toEqual({
      overdue: 3,
      outcomes: { cancelled: 2, postponed: 1 },
      left: { orders: 1, oldest: expect.objectContaining({ orderId: '-50000', why: 'brake' }) },
      upcoming: 1,
      added: 1,
    })
    expect([settled.length, added.flat()]).toEqual([1, ['1000']])
  })

  test('when it is asked to, at the next page and without an error', async () => {
    const { run, stopping, settled } = createSweep(ordersDue(-60_000, -50_000, -40_000, -30_000), {
      onStep: () => settled.length > 0 && stopping.abort(new Error('stop')),
    })
    expect(await run()).toEqual({ overdue: 3, outcomes: { cancelled: 3 }, upcoming: 0, added: 0 })
    expect(settled).toHaveLength(1)
  })

  test('in the middle of a pause', async () => {
    const { wanted, clock, stopping } = createSweep(ordersDue(-60_000, -50_000, -40_000, -30_000))
    const result = sweep({
      ...wanted,
      settle: async (checks) => {
        await clock.sleep(40_000)
        return wanted.settle(checks)
      },
    })
    await clock.advance(40_000)
    expect(clock.sleeping).toEqual([10_000])
    stopping.abort(new Error('stop'))
    expect(await result).toMatchObject({ overdue: 3 })
    expect(clock.sleeping).toEqual([])
  })
})

describe('what falls due soon', () => {
  const orders = ordersDue(-60_000, ...Array.from({ length: 12 }, (_, n) => 1_000 + n))

  test('is left after the time for it, between two pages, with the place to go on at', async () => {
    const made = createSweep(orders, { upcomingMs: 150 })
    const { addChecks } = made.wanted
    made.wanted.addChecks = async (page) => {
      await made.clock.sleep(100)
      return addChecks(page)
    }
    expect(await made.run()).toEqual({
      overdue: 1,
      outcomes: { cancelled: 1 },
      left,
      upcoming: 6,
      added: 6,
      next: orders[6],
    })
    made.wanted.from = orders[6]
    const { next, ...rest } = await made.run()
    expect([next, rest]).toEqual([orders[12], { overdue: 1, outcomes: { cancelled: 1 }, left, upcoming: 6, added: 6 }])
    // What was not overdue before may be so now.
    expect(made.settled).toEqual([['-60000'], ['-60000']])
    expect(made.added.flat()).toEqual(orders.slice(1).map(({ orderId }) => orderId))
  })

  test('is left where another sweep is wanted', async () => {
    const { run } = createSweep(orders, { isWoken: () => true })
    expect(await run()).toMatchObject({ overdue: 1, upcoming: 3, next: orders[3] })
  })

  test('is gone on with behind what has become overdue meanwhile', async () => {
    const { run, asked, added } = createSweep(orders, { from: { orderId: 'x', deadline: NOW - 50_000 } })
    expect(await run()).toMatchObject({ upcoming: 12 })
    expect([asked[1]?.after, added.flat().length]).toEqual(['x', 12])
  })
})

describe('what nobody settles is told of:', () => {
  test('how many are left, and the oldest of them, as late as it is at the end', async () => {
    const became = { '-30000': postponed('locked'), '-20000': failed('STORE_REJECTED') }
    const made = createSweep(ordersDue(-40_000, -30_000, -20_000, -10_000), { became })
    const { settle } = made.wanted
    made.wanted.settle = async (checks) => {
      await made.clock.sleep(1_000)
      return settle(checks)
    }
    expect((await made.run()).left).toEqual({
      orders: 2,
      // Two pages, and the pause after the first.
      oldest: { orderId: '-30000', deadline: NOW - 30_000, lateMs: 32_250, why: 'locked' },
    })
  })

  test('not what somebody has put off meanwhile', async () => {
    const { run } = createSweep(ordersDue(-30_000), { became: { '-30000': postponed('not-due') } })
    expect((await run()).left).toEqual({ orders: 0 })
  })

  test('not where the overdue orders cannot be read', async () => {
    const made = createSweep(ordersDue(-60_000))
    made.store.unpaidDueBefore = () => Promise.reject(new OrderExpiryError('STORE_BUSY', 'no'))
    expect(await made.run()).not.toHaveProperty('left')
  })
})

describe('never rejects', () => {
  const unavailable = () => Promise.reject(new OrderExpiryError('STORE_UNAVAILABLE', 'away'))

  test('where the store does not answer', async () => {
    const made = createSweep(ordersDue(-60_000))
    made.store.ping = unavailable
    expect(await made.run()).toEqual({
      overdue: 0,
      outcomes: {},
      upcoming: 0,
      added: 0,
      error: expect.objectContaining({ code: 'STORE_UNAVAILABLE' }),
    })
  })

  test('where a page cannot be read', async () => {
    const made = createSweep(ordersDue(-60_000))
    made.store.unpaidDueBefore = unavailable
    expect(await made.run()).toMatchObject({ error: { code: 'STORE_UNAVAILABLE' } })
  })

  test('where Redis is away: what is overdue is settled all the same', async () => {
    const addChecks = () => Promise.reject(new OrderExpiryError('REDIS_UNAVAILABLE', 'away'))
    const { run } = createSweep(ordersDue(-60_000, 1_000), { addChecks })
    expect(await run()).toMatchObject({
      overdue: 1,
      outcomes: { cancelled: 1 },
      upcoming: 1,
      added: 0,
      error: { code: 'REDIS_UNAVAILABLE' },
    })
  })

  test('where something else goes wrong', async () => {
    const { run } = createSweep(ordersDue(1_000), { addChecks: () => Promise.reject(new TypeError('x')) })
    expect(await run()).toMatchObject({ error: { code: 'UNEXPECTED' } })
  })
})

describe('orders that are set aside', () => {
  /** Two of the backlog, one with an unreadable deadline, one overdue and one due soon. */
  function createOldTable(options: Partial<SweepOptions> = {}) {
    const store = new MemoryStore({ now: () => NOW, firstSeenAt: NOW })
    for (const { orderId, deadline } of ordersDue(-2 * YEAR, -2 * DAY, -60_000, 1_000)) store.place(orderId, deadline)
    store.place('year 1', Date.parse('0001-01-01'))
    return createSweep([], { store, ...options })
  }

  test('are left alone by a sweep', async () => {
    const { run, settled, added } = createOldTable()
    expect(await run()).toMatchObject({ overdue: 1, upcoming: 1 })
    expect([settled, added]).toEqual([[['-60000']], [['1000']]])
  })

  test('are settled, page by page, by a sweep of the backlog, which touches nothing else', async () => {
    const { run, settled, added } = createOldTable({ backlog: true, pageSize: 1 })
    expect(await run()).toEqual({ overdue: 2, outcomes: { cancelled: 2 }, left, upcoming: 0, added: 0 })
    expect([settled, added]).toEqual([[[`${-2 * YEAR}`], [`${-2 * DAY}`]], []])
  })
})
