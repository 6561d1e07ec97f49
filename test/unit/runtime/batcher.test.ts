import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Check } from '../../../src/order/order.ts'
import type { Settlement } from '../../../src/order/settle.ts'
import { Batcher } from '../../../src/runtime/batcher.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const PATIENCE_MS = 5

/** A settlement that shows which check it is of. */
const settlementOf = ({ deadline }: Check): Settlement => ({ kind: 'missing', evidence: { decidedAt: deadline } })

const checkOf = (n: number): Check => ({ orderId: `order-${n}`, deadline: n })

/** A batcher whose batches stay under way until the test finishes them. */
function createBatcher(limits: { maxBatch: number; maxInFlight: number }) {
  const batches: (readonly Check[])[] = []
  const underWay: { size: number; finish: () => void }[] = []
  const clock = new FakeClock()
  const batcher = new Batcher<Check, Settlement>({
    patienceMs: PATIENCE_MS,
    clock,
    run: (checks) => {
      batches.push(checks)
      return new Promise((resolve) => {
        underWay.push({ size: checks.length, finish: () => resolve(checks.map(settlementOf)) })
      })
    },
    ...limits,
  })
  let added = 0
  return {
    batches,
    underWay,
    clock,
    /** Adds checks; gives their settlements, in order. */
    add: (count: number) => Array.from({ length: count }, () => batcher.add(checkOf(added++))),
    async finish(index: number) {
      underWay.splice(index, 1)[0]?.finish()
      await nextTurn()
    },
    sizes: () => batches.map(({ length }) => length),
  }
}

describe('a batch', () => {
  test('does not wait for company: a single check leaves in the same turn', async () => {
    const { add, sizes } = createBatcher({ maxBatch: 100, maxInFlight: 1 })
    add(1)
    await nextTurn()
    expect(sizes()).toEqual([1])
  })

  test('gathers the checks that arrive in one turn', async () => {
    const { add, batches } = createBatcher({ maxBatch: 100, maxInFlight: 4 })
    add(3)
    await Promise.resolve()
    add(2)
    await nextTurn()
    expect(batches).toEqual([[0, 1, 2, 3, 4].map(checkOf)])
  })

  test('holds no more checks than allowed; full ones leave at once, the rest follows with the first end', async () => {
    const { add, sizes, finish } = createBatcher({ maxBatch: 4, maxInFlight: 3 })
    add(10)
    await nextTurn()
    expect(sizes()).toEqual([4, 4])
    await finish(1)
    expect(sizes()).toEqual([4, 4, 2])
  })

  test('that is slow holds up the next check for a moment only', async () => {
    const { add, sizes, clock } = createBatcher({ maxBatch: 100, maxInFlight: 3 })
    for (let slow = 1; slow <= 2; slow++) {
      add(1)
      await clock.advance(PATIENCE_MS - 1)
      expect(sizes()).toHaveLength(slow === 1 ? 1 : slow - 1)
      await clock.advance(1)
      expect(sizes()).toHaveLength(slow)
    }
  })

  test('beside a slow one gathers what comes meanwhile, and leaves as soon as it is full', async () => {
    const { add, sizes, clock } = createBatcher({ maxBatch: 5, maxInFlight: 3 })
    add(1)
    await nextTurn()
    add(2)
    await clock.advance(PATIENCE_MS - 1)
    add(2)
    await nextTurn()
    expect(sizes()).toEqual([1])
    add(1)
    await nextTurn()
    expect(sizes()).toEqual([1, 5])
    expect(clock.sleeping).toEqual([])
  })

  test('that is left over has its own patience', async () => {
    const { add, sizes, clock } = createBatcher({ maxBatch: 5, maxInFlight: 4 })
    add(1)
    await nextTurn()
    add(2)
    await clock.advance(PATIENCE_MS - 1)
    add(5)
    await nextTurn()
    expect(sizes()).toEqual([1, 5])
    await clock.advance(PATIENCE_MS - 1)
    expect(sizes()).toEqual([1, 5])
    await clock.advance(1)
    expect(sizes()).toEqual([1, 5, 2])
  })

  test('leaves, with all that has gathered, as soon as one before it is done', async () => {
    const { add, sizes, underWay, finish } = createBatcher({ maxBatch: 100, maxInFlight: 1 })
    add(1)
    for (const count of [1, 2, 3]) {
      await nextTurn()
      add(count)
    }
    await nextTurn()
    expect(sizes()).toEqual([1])
    await finish(0)
    expect(sizes()).toEqual([1, 6])
    expect(underWay).toHaveLength(1)
  })
})

describe('a check', () => {
  test('gets its own settlement, whichever batch is done first', async () => {
    const { add, finish } = createBatcher({ maxBatch: 2, maxInFlight: 2 })
    const results = add(4)
    await nextTurn()
    await finish(1)
    await finish(0)
    expect(await Promise.all(results)).toEqual([0, 1, 2, 3].map((n) => settlementOf(checkOf(n))))
  })

  test('of the same order twice in one batch gets a settlement each', async () => {
    const batcher = new Batcher<Check, Settlement>({
      run: async (checks) => checks.map(settlementOf),
      maxBatch: 10,
      maxInFlight: 1,
      patienceMs: PATIENCE_MS,
      clock: new FakeClock(),
    })
    const same = { orderId: 'same', deadline: 7 }
    expect(await Promise.all([batcher.add(same), batcher.add(same)])).toEqual([settlementOf(same), settlementOf(same)])
  })

  test('that fails does not keep those behind it from being settled', async () => {
    const { add, finish } = createBatcher({ maxBatch: 1, maxInFlight: 1 })
    const [, second] = add(2)
    await nextTurn()
    await finish(0)
    await finish(0)
    expect(await second).toEqual(settlementOf(checkOf(1)))
  })
})

/** What can happen, in any order: checks arrive, some time passes, one of the batches under way is done. */
const happening = fc.oneof(
  fc.record({ add: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ pass: fc.integer({ min: 0, max: 2 * PATIENCE_MS }) }),
  fc.record({ finish: fc.nat(10) }),
)

test('however checks arrive and batches end: each settled once and in order, no batch too big, never too many at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(happening, { maxLength: 40 }),
      async (maxBatch, maxInFlight, happenings) => {
        const { add, batches, underWay, clock, finish } = createBatcher({ maxBatch, maxInFlight })
        const results: Promise<Settlement>[] = []
        const waiting = () => results.length - batches.flat().length
        const holds = () => {
          expect(underWay.length).toBeLessThanOrEqual(maxInFlight)
          if (waiting() === 0 || underWay.length === maxInFlight) return
          // Nobody waits while a batch could be started, but for less than the patience, beside another one.
          expect(underWay.length).toBeGreaterThan(0)
          expect(waiting()).toBeLessThan(maxBatch)
          expect(clock.sleeping).toHaveLength(1)
          expect(clock.sleeping[0]).toBeGreaterThan(0)
        }
        for (const each of happenings) {
          if ('add' in each) results.push(...add(each.add))
          else if ('pass' in each) await clock.advance(each.pass)
          else if (underWay.length > 0) await finish(each.finish % underWay.length)
          if ('pass' in each) holds()
        }
        do {
          await finish(0)
          holds()
        } while (underWay.length > 0)

        const expected = results.map((_, n) => checkOf(n))
        expect(batches.flat()).toEqual(expected)
        expect(await Promise.all(results)).toEqual(expected.map(settlementOf))
        for (const { length } of batches) {
          expect(length).toBeGreaterThan(0)
          expect(length).toBeLessThanOrEqual(maxBatch)
        }
      },
    ),
  )
})
