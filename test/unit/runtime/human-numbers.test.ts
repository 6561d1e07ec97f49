import { expect, test } from '@jest/globals'
import {
  clockDifference,
  count,
  countUpTo,
  howLate,
  howLong,
  number,
  relativeTime,
  size,
} from '../../../src/runtime/human-numbers.ts'

test('numbers are written for people', () => {
  expect([number(7), number(1_001)]).toEqual(['7', '1,001'])
  expect([count(1, 'order'), count(1_001, 'order')]).toEqual(['1 order', '1,001 orders'])
  expect([countUpTo(10, 10, 'event'), countUpTo(10, 11, 'event')]).toEqual(['10 events', 'more than 10 events'])
  expect([45_000, 720_000, 12_600_000, 362_880_000].map(howLong)).toEqual(['45 s', '12 min', '3.5 h', '4.2 days'])
  expect([7.4, 999.4, 999.6, 1_000, 1_234, 9_949, 9_999, 300_000, 720_000, 12_600_000].map(howLate)).toEqual([
    ...['7 ms', '999 ms', '1 s', '1 s', '1.2 s', '9.9 s', '10 s', '300 s', '12 min', '3.5 h'],
  ])
  expect([-499, 45_000, -720_000, -8.64e15, 8e15].map(relativeTime)).toEqual(['now', 'in 45 s', '12 min ago', '', ''])
  expect([7.4, 45_000].map(clockDifference)).toEqual(['7 ms', '45.0 s'])
  expect([12_000, 1_572_864, 2_147_483_648].map(size)).toEqual(['12 KB', '1.5 MB', '2,048 MB'])
})
