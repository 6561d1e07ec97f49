import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Check } from '../../../src/order/order.ts'
import type { Settlement } from '../../../src/order/settle.ts'
import { Batcher, runInBatches } from '../../../src/runtime/batcher.ts'
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
    patience: { ms: PATIENCE_MS, clock },
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
      patience: { ms: PATIENCE_MS, clock: new FakeClock() },
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

/** Something that runs batches of numbers, which stay under way until the test ends them. */
function createRun() {
  const underWay: { succeed: () => void; fail: (error: Error) => void }[] = []
  const sizes: number[] = []
  return {
    sizes,
    run: (items: number[]) => {
      sizes.push(items.length)
      return new Promise<string[]>((resolve, reject) => {
        underWay.push({ succeed: () => resolve(items.map(String)), fail: reject })
      })
    },
    async succeed(index: number) {
      underWay.splice(index, 1)[0]?.succeed()
      await nextTurn()
    },
    async fail(index: number, error: Error) {
      underWay.splice(index, 1)[0]?.fail(error)
      await nextTurn()
    },
  }
}

describe('without patience, an item', () => {
  function createEager(limits: { maxBatch: number; maxInFlight: number }) {
    const { run, ...rest } = createRun()
    const batcher = new Batcher({ run, ...limits })
    let added = 0
    return { ...rest, add: (count: number) => Array.from({ length: count }, () => batcher.add(added++)) }
  }

  test('leaves at once, before its caller goes on', () => {
    const { add, sizes } = createEager({ maxBatch: 10, maxInFlight: 2 })
    add(1)
    expect(sizes).toEqual([1])
  })

  test('leaves together with those added in the same turn after the first', async () => {
    const { add, sizes } = createEager({ maxBatch: 10, maxInFlight: 4 })
    add(3)
    await Promise.resolve()
    add(2)
    await nextTurn()
    expect(sizes).toEqual([1, 4])
  })

  test('waits only while as many batches as allowed are under way', async () => {
    const { add, sizes, succeed } = createEager({ maxBatch: 3, maxInFlight: 2 })
    add(9)
    await nextTurn()
    expect(sizes).toEqual([1, 3])
    await succeed(0)
    expect(sizes).toEqual([1, 3, 3])
    await succeed(1)
    expect(sizes).toEqual([1, 3, 3, 2])
  })

  test('that a result sets going leaves with what waited, and with the others that it sets going', async () => {
    const { add, sizes, succeed } = createEager({ maxBatch: 10, maxInFlight: 2 })
    const first = add(3)
    await nextTurn()
    for (const result of first.slice(1)) void result.then(() => add(1))
    add(1)
    await succeed(1)
    expect(sizes).toEqual([1, 2, 3])
  })

  test('gets its own result', async () => {
    const { add, succeed } = createEager({ maxBatch: 2, maxInFlight: 2 })
    const results = add(4)
    await nextTurn()
    await succeed(1)
    await succeed(0)
    await succeed(0)
    expect(await Promise.all(results)).toEqual(['0', '1', '2', '3'])
  })
})

describe('a list', () => {
  test('is run in full batches, as many at a time as allowed, and its results are in order', async () => {
    const { run, sizes, succeed } = createRun()
    const results = runInBatches({ items: [7, 6, 5, 4, 3, 2, 1], run, maxBatch: 3, maxInFlight: 2 })
    expect(sizes).toEqual([3, 3])
    await succeed(1)
    expect(sizes).toEqual([3, 3, 1])
    await succeed(1)
    await succeed(0)
    expect(await results).toEqual(['7', '6', '5', '4', '3', '2', '1'])
  })

  test('may be empty', async () => {
    const { run, sizes } = createRun()
    expect(await runInBatches({ items: [], run, maxBatch: 3, maxInFlight: 2 })).toEqual([])
    expect(sizes).toEqual([])
  })

  test('rejects with the first error, and nothing is begun behind it', async () => {
    const { run, sizes, succeed, fail } = createRun()
    const results = runInBatches({ items: [1, 2, 3, 4, 5, 6, 7], run, maxBatch: 3, maxInFlight: 2 })
    const rejected = expect(results).rejects.toThrow('away')
    await fail(0, new Error('away'))
    await succeed(0)
    await rejected
    expect(sizes).toEqual([3, 3])
  })
})
