import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import type { Settlement } from '../../../src/order/settle.ts'
import type { SweepMemory } from '../../../src/sweep/sweep-options.ts'
import { AHEAD, cancelled, createSweep, failed, NOW, ordersDue, postponed } from './create-sweep.ts'

describe('orders left undecided', () => {
  test.each(['STORE_UNDECIDED', 'STORE_LOCKED', 'STORE_DEADLOCK', 'STORE_SERIALIZATION'] as const)(
    'as %s are given a check at once, page by page',
    async (code) => {
      const became = { '-60000': failed(code), '-40000': failed(code), '-30000': failed(code) }
      const { run, added } = createSweep(ordersDue(-60_000, -50_000, -40_000, -30_000, -20_000, 1_000), { became })
      expect(await run()).toMatchObject({ overdue: 5, left: { orders: 3 }, handedOver: 3, upcoming: 1, added: 1 })
      expect(added).toEqual([['-60000', '-40000'], ['-30000'], ['1000']])
    },
  )

  test.each(['STORE_REJECTED', 'STORE_BUSY', 'UNEXPECTED'] as const)('are not those as %s', async (code) => {
    const { run, added } = createSweep(ordersDue(-60_000), { became: { '-60000': failed(code) } })
    expect(await run()).not.toHaveProperty('handedOver')
    expect(added).toEqual([])
  })

  test('where Redis cannot be asked, are left to a sweep soon, and the others are settled all the same', async () => {
    const became = { '-60000': failed('STORE_UNDECIDED'), '-30000': failed('STORE_UNDECIDED') }
    let asked = 0
    const { run, settled } = createSweep(ordersDue(-60_000, -50_000, -40_000, -30_000, -20_000, -10_000, -9_000), {
      became,
      async addChecks() {
        asked++
        throw new OrderExpiryError('REDIS_UNAVAILABLE', 'away')
      },
    })
    expect(await run()).toMatchObject({
      overdue: 7,
      outcomes: { cancelled: 5, failed: 2 },
      left: { orders: 2, oldest: { orderId: '-60000', why: 'STORE_UNDECIDED' } },
      isWantedSoon: true,
      error: { code: 'REDIS_UNAVAILABLE' },
    })
    // Once only, so that the sweep is not held up by each page.
    expect([asked, settled.length]).toEqual([1, 3])
  })
})

describe('orders that the store has rejected', () => {
  const bad = ordersDue(-90_000, -80_000, -70_000, -60_000)
  const good = ordersDue(-50_000, -40_000, 1_000)

  function createBad(options: { memory?: SweepMemory; tookMs?: number } = {}) {
    const { memory = { leftBehind: new Map() }, tookMs = 0 } = options
    const became: Record<string, Settlement> = Object.fromEntries(
      bad.map(({ orderId }) => [orderId, failed('STORE_REJECTED')]),
    )
    const made = createSweep([...bad, ...good], { became, memory, random: () => 0.5 })
    const { settle, addChecks } = made.wanted
    /** What was done, in its order. */
    const done: string[] = []
    made.wanted.settle = async (checks) => {
      done.push(checks.map(({ orderId }) => orderId).join(' '))
      await made.clock.sleep(tookMs)
      return settle(checks)
    }
    made.wanted.addChecks = async (page) => {
      done.push('upcoming')
      return addChecks(page)
    }
    return { ...made, became, memory, done }
  }

  test('are tried one by one after all the others the next time, with as many calls as there are', async () => {
    const { run, done } = createBad()
    expect(await run()).toMatchObject({ outcomes: { failed: 4, cancelled: 2 }, left: { orders: 4 } })
    expect(done.splice(0)).toEqual(['-90000 -80000 -70000', '-60000 -50000 -40000', 'upcoming'])
    expect(await run()).toMatchObject({
      overdue: 6,
      outcomes: { failed: 4, cancelled: 2 },
      left: { orders: 4, oldest: { orderId: '-90000', why: 'STORE_REJECTED' } },
      failed: { orderId: '-60000' },
    })
    expect(done).toEqual(['-50000 -40000', 'upcoming', '-60000', '-70000', '-80000', '-90000'])
  })

  test('are tried for a bounded time, in random order; the others of them are left', async () => {
    const { run, wanted, done } = createBad({ tookMs: 6_000 })
    await run()
    done.length = 0
    const places = [0.9, 0.1, 0.8, 0.2]
    wanted.random = () => places.shift() ?? 0
    expect(await run()).toMatchObject({ outcomes: { failed: 2 }, left: { orders: 4 } })
    expect(done).toEqual(['-50000 -40000', 'upcoming', '-90000', '-70000'])
  })

  test('are settled in batches that grow, once they are mended, and forgotten', async () => {
    const { run, became, memory, done, store } = createBad()
    await run()
    done.length = 0
    for (const { orderId } of bad) became[orderId] = cancelled
    expect(await run()).toMatchObject({ outcomes: { cancelled: 6 }, left: { orders: 0 } })
    expect(done).toEqual(['-50000 -40000', 'upcoming', '-60000', '-80000 -70000', '-90000'])
    expect(bad.filter(({ orderId }) => memory.leftBehind.has(orderId))).toEqual([])
    expect(store.orders.size).toBe(7)
  })

  test.each(['locked', 'STORE_LOCKED', 'STORE_REJECTED'] as const)(
    'or left %s, come after all the others the next time, and are left for the same reason',
    async (why) => {
      const left = why === 'locked' ? postponed(why) : failed(why)
      const { run, became, done, wanted } = createBad()
      for (const { orderId } of bad) became[orderId] = left
      expect(await run()).toMatchObject({ left: { orders: 4, oldest: { why } } })
      done.length = 0
      await run()
      expect(done.slice(0, 3)).toEqual(['-50000 -40000', 'upcoming', '-60000'])
      wanted.isWoken = () => true
      expect(await run()).toMatchObject({ left: { orders: 4, oldest: { why } } })
    },
  )

  test.each([
    ['locked', postponed('locked')],
    ['told from the others of their batch', { ...failed('STORE_REJECTED'), isAlone: true } as Settlement],
  ])('are tried in batches that grow where they are %s: they stop no batch', async (_, left) => {
    const { run, became, done } = createBad()
    for (const { orderId } of bad) became[orderId] = left
    await run()
    done.length = 0
    await run()
    expect(done).toEqual(['-50000 -40000', 'upcoming', '-60000', '-80000 -70000', '-90000'])
  })

  test('are forgotten when a sweep meets them no more', async () => {
    const { run, store, memory } = createBad()
    await run()
    for (const { orderId } of bad.slice(0, 2)) store.orders.delete(orderId)
    await run()
    expect(bad.map(({ orderId }) => memory.leftBehind.has(orderId))).toEqual([false, false, true, true])
  })

  test('are not tried where the sweep ends early: the brake holds, another sweep is wanted, more falls due soon', async () => {
    const { run, became, wanted, done } = createBad()
    await run()
    const noneOfThem = () => done.splice(0).every((what) => !/-[6-9]0000/.test(what))
    done.length = 0
    became['-40000'] = postponed('brake')
    expect([await run(), noneOfThem()]).toMatchObject([
      { left: { orders: 5, oldest: { why: 'STORE_REJECTED' } } },
      true,
    ])
    became['-40000'] = cancelled
    wanted.isWoken = () => true
    expect([await run(), noneOfThem()]).toMatchObject([{ left: { orders: 4 } }, true])
    wanted.isWoken = () => false
    wanted.upcomingMs = 0
    wanted.pageSize = 1
    expect([await run(), noneOfThem()]).toMatchObject([{ left: { orders: 4 }, next: { orderId: '1000' } }, true])
  })

  test('are tried where Redis is away', async () => {
    const { run, wanted } = createBad()
    await run()
    wanted.addChecks = () => Promise.reject(new OrderExpiryError('REDIS_UNAVAILABLE', 'away'))
    expect(await run()).toMatchObject({ outcomes: { failed: 4 }, error: { code: 'REDIS_UNAVAILABLE' } })
  })

  test('are tried with the others where nothing is remembered of them, as far as the memory goes', async () => {
    const room = 1
    const others = Array.from({ length: 100_000 - room }, (_, n) => [`other-${n}`, 'locked'] as const)
    const { run, done } = createBad({ memory: { leftBehind: new Map(others) } })
    await run()
    done.length = 0
    await run()
    expect(done).toEqual(['-80000 -70000', '-60000 -50000 -40000', 'upcoming', '-90000'])
  })
})

test('what falls due soon is read from where it begins, as soon as an id is known to begin at', async () => {
  const { run, asked } = createSweep(ordersDue(1_000), { memory: { leftBehind: new Map() } })
  await run()
  await run()
  expect(asked.map(({ instant, after }) => [instant - NOW, after])).toEqual([
    [-5_000, undefined],
    [AHEAD, undefined],
    [-5_000, undefined],
    [AHEAD, '1000'],
  ])
  expect(await run()).toMatchObject({ upcoming: 1 })
})
