import { expect, test } from '@jest/globals'
import { KeptAnswer } from '../../../src/runtime/kept-answer.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

function count(answer: (n: number) => Promise<number>) {
  const clock = new FakeClock()
  let sought = 0
  const kept = new KeptAnswer({ seek: () => answer(++sought), forMs: 1_000, clock })
  return { kept, clock, sought: () => sought }
}

test('one answer is sought at a time, and everybody is given it, however long it takes', async () => {
  const answer = deferred<number>()
  const { kept, clock, sought } = count(() => answer.promise)
  const first = kept.read()
  await clock.advance(5_000)
  const second = kept.read()
  answer.resolve(7)
  expect(await Promise.all([first, second])).toEqual([7, 7])
  expect(sought()).toBe(1)
})

test('it is kept from when it was found, and then sought anew', async () => {
  const { kept, clock } = count(async (n) => n)
  expect(await kept.read()).toBe(1)
  await clock.advance(999)
  expect(await kept.read()).toBe(1)
  await clock.advance(1_001)
  expect(await kept.read()).toBe(2)
})

test('while it is sought anew, that of before is given, unless it is twice as old', async () => {
  const answers = [deferred<number>(), deferred<number>()]
  const { kept, clock, sought } = count((n) => answers[n - 1]?.promise as Promise<number>)
  answers[0]?.resolve(1)
  expect(await kept.read()).toBe(1)
  await clock.advance(1_000)
  expect(await kept.read()).toBe(1)
  expect(sought()).toBe(2)
  await clock.advance(1_000)
  const late = kept.read()
  answers[1]?.resolve(2)
  expect(await late).toBe(2)
  expect(await kept.read()).toBe(2)
  expect(sought()).toBe(2)
})

test('so is a failure', async () => {
  const { kept, clock, sought } = count(async (n) => {
    throw new Error(`failure ${n}`)
  })
  await expect(kept.read()).rejects.toThrow('failure 1')
  await expect(kept.read()).rejects.toThrow('failure 1')
  await clock.advance(2_000)
  await expect(kept.read()).rejects.toThrow('failure 2')
  expect(sought()).toBe(2)
})
