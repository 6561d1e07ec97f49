import { expect, test } from '@jest/globals'
import { KeptOrders } from '../../../../src/stores/postgres/kept-orders.ts'

const HOUR_MS = 3_600_000

function keep() {
  let now = 0
  const clock = { now: () => now, monotonic: () => now, sleep: async () => {} }
  const kept = new KeptOrders({ clock })
  return { kept, pass: (ms: number) => (now += ms) }
}

test('an order is left out once its row was the same twice', () => {
  const { kept } = keep()
  kept.add([{ id: '1', version: 'a' }])
  expect(kept.leftOut()).toEqual([[], []])
  kept.add([{ id: '1', version: 'b' }])
  expect(kept.leftOut()).toEqual([[], []])
  kept.add([{ id: '1', version: 'b' }])
  expect(kept.leftOut()).toEqual([['1'], ['b']])
})

test('after an hour it is asked about again, once', () => {
  const { kept, pass } = keep()
  for (const _ of [1, 2]) kept.add([{ id: '1', version: 'a' }])
  pass(HOUR_MS - 1)
  expect(kept.leftOut()[0]).toEqual(['1'])
  pass(1)
  expect(kept.leftOut()[0]).toEqual([])
  kept.add([{ id: '1', version: 'a' }])
  expect(kept.leftOut()[0]).toEqual(['1'])
})

test('no more than 10,000 are remembered, also where there are more; those that are gone make room', () => {
  const { kept, pass } = keep()
  const rows = Array.from({ length: 12_000 }, (_, n) => ({ id: `${n}`, version: 'a' }))
  for (const _ of [1, 2]) kept.add(rows)
  expect(kept.leftOut().map(({ length }) => length)).toEqual([10_000, 10_000])
  expect(kept.leftOut()[0]).not.toContain('11999')
  pass(2 * HOUR_MS)
  expect(kept.leftOut()).toEqual([[], []])
  for (const _ of [1, 2]) kept.add(rows.slice(-1))
  expect(kept.leftOut()).toEqual([['11999'], ['a']])
})
