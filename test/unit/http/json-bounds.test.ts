import { expect, test } from '@jest/globals'
import { isWithinBounds } from '../../../src/http/json-bounds.ts'

const check = (json: string) => isWithinBounds(Buffer.from(json))

test.each([
  [
    'the largest batch',
    JSON.stringify({ orders: Array(1_000).fill({ orderId: 'a', timeout: '15m', allowPast: true, by: 'b' }) }),
  ],
  ['brackets and commas within strings', JSON.stringify({ orderId: '[{,"\\'.repeat(30_000) })],
  ['what ends in a string', '{"a": "b\\'],
  ['what closes more than it opens', ']'.repeat(100)],
])('takes %s', (_, json) => {
  expect(check(json)).toBe(true)
})

test.each([
  ['lists in lists', '['.repeat(500_000) + ']'.repeat(500_000)],
  ['objects in objects', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`],
  ['many small objects', `[${'{},'.repeat(333_000)}{}]`],
  ['many numbers', `[${'1,'.repeat(30_000)}1]`],
  ['that behind a string', `{"a":"\\"","b":${'['.repeat(40)}`],
])('refuses %s', (_, json) => {
  expect(check(json)).toBe(false)
})
