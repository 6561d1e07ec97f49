import { expect, test } from '@jest/globals'
import { KeptOrders } from '../../../../src/stores/postgres/kept-orders.ts'

const HOUR_MS = 3_600_000

function keep() {
  let now = 0
  const clock = { now: () => now, monotonic: () => now, sleep: async () => {} }
  const kept = new KeptOrders({ clock })
  return { kept, pass: (ms: number) => (now += ms) }
}

const rows = (from: number, to: number) =>
  new Map(Array.from({ length: to - from }, (_, n) => [`${from + n}`, 'a'] as const))

test('an order is left out with its latest row', () => {
  const { kept } = keep()
  kept.add(new Map([['1', 'a']]))
  expect(kept.leftOut()).toEqual([['1'], ['a']])
  kept.add(new Map([['1', 'b']]))
  expect(kept.leftOut()).toEqual([['1'], ['b']])
})

test('after an hour it is asked about again', () => {
  const { kept, pass } = keep()
  kept.add(rows(1, 2))
  pass(HOUR_MS - 1)
  expect(kept.leftOut()[0]).toEqual(['1'])
  pass(1)
  expect(kept.leftOut()).toEqual([[], []])
})

test('no more than 10,000 are remembered, also where there are more; those that are gone make room', () => {
  const { kept, pass } = keep()
  kept.add(rows(0, 12_000))
  expect(kept.leftOut().map(({ length }) => length)).toEqual([10_000, 10_000])
  expect(kept.leftOut()[0]).not.toContain('11999')
  pass(HOUR_MS)
  expect(kept.leftOut()).toEqual([[], []])
  kept.add(rows(11_999, 12_000))
  expect(kept.leftOut()).toEqual([['11999'], ['a']])
})
