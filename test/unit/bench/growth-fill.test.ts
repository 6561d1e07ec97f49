import { expect, test } from '@jest/globals'
import { idOf } from '../../../bench/growth-fill.ts'

test('the ids of a range are UUIDs in order, and spread over all of them', () => {
  const range = { from: 90_000, to: 100_000 }
  const ids = Array.from({ length: range.to - range.from }, (_, index) => idOf(range.from + index, range))
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-0000-4000-8000-[0-9a-f]{12}$/)
  expect([ids[0], ids[5_000], ids.at(-1)].map((id) => id?.slice(0, 3))).toEqual(['000', '800', 'fff'])
})
