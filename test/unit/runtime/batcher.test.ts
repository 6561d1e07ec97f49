import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Batcher, runInBatches } from '../../../src/runtime/batcher.ts'

/** Something that runs batches of numbers, which stay under way until the test ends them. */
function createRun() {
  const underWay: { succeed: () => void; fail: (error: Error) => void }[] = []
  const sizes: number[] = []
  const batches: number[][] = []
  return {
    sizes,
    batches,
    underWay,
    run: (items: number[]) => {
      sizes.push(items.length)
      batches.push(items)
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

function createEager(limits: { maxBatch: number; maxInFlight: number }) {
  const { run, ...rest } = createRun()
  const batcher = new Batcher({ run, ...limits })
  let added = 0
  return { ...rest, add: (count: number) => Array.from({ length: count }, () => batcher.add(added++)) }
}

/** What can happen, in any order: items arrive, a turn of the event loop ends, one of the batches under way is done. */
const happening = fc.oneof(
  fc.record({ add: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ turn: fc.constant(true) }),
  fc.record({ finish: fc.nat(10) }),
)

test('however items arrive and batches end: each is run once and in order, no batch too big, never too many at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(happening, { maxLength: 40 }),
      async (maxBatch, maxInFlight, happenings) => {
        const { add, batches, underWay, succeed } = createEager({ maxBatch, maxInFlight })
        const results: Promise<string>[] = []
        const holds = () => {
          expect(underWay.length).toBeLessThanOrEqual(maxInFlight)
          // Nobody waits while a batch could be started.
          if (underWay.length < maxInFlight) expect(batches.flat().length).toBe(results.length)
        }
        for (const each of happenings) {
          if ('add' in each) results.push(...add(each.add))
          else if ('turn' in each) await nextTurn()
          else if (underWay.length > 0) await succeed(each.finish % underWay.length)
          if (!('add' in each)) holds()
        }
        await nextTurn()
        while (underWay.length > 0) {
          await succeed(0)
          holds()
        }
        expect(batches.flat()).toEqual(results.map((_, n) => n))
        expect(await Promise.all(results)).toEqual(results.map((_, n) => `${n}`))
        for (const { length } of batches) expect(length).toBeLessThanOrEqual(maxBatch)
      },
    ),
  )
})

describe('an item', () => {
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
