import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseOrderId } from '../../../src/order/order-id.ts'

describe('takes', () => {
  test.each([
    '1234',
    '0',
    '007',
    'a:b:c:d',
    '../x',
    "o'; drop table",
    '{braces}',
    ' with spaces ',
    '%3A',
    '🛒-1',
    'naïve/注文#1',
    'x'.repeat(200),
    'é'.repeat(100),
    '🛒'.repeat(50),
  ])('the string %j as it is', (orderId) => {
    expect(parseOrderId(orderId)).toBe(orderId)
  })

  test.each([
    [1234, '1234'],
    [0, '0'],
    [-7, '-7'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
  ])('the safe integer %d as %j', (orderId, text) => {
    expect(parseOrderId(orderId)).toBe(text)
  })
})

describe('refuses, with INVALID_ORDER_ID and what was given,', () => {
  test.each<[what: string, orderId: unknown, message: RegExp]>([
    ['an empty string', '', /an empty string/],
    ['201 bytes', 'x'.repeat(201), /at most 200 bytes, given 201 bytes/],
    ['201 bytes in 101 characters', `${'é'.repeat(100)}x`, /given 201 bytes/],
    ['204 bytes in 51 emoji', '🛒'.repeat(51), /given 204 bytes/],
    ['a NUL', 'a\u0000b', /no control characters/],
    ['a line feed', 'a\nb', /no control characters, given "a\\nb"/],
    ['a tab', 'a\tb', /no control characters/],
    ['an escape', '\u001b[31m', /no control characters/],
    ['DEL', 'a\u007f', /no control characters/],
    ['a C1 control', 'a\u0085', /no control characters/],
    ['a high surrogate alone', 'a\ud800', /lone surrogate/],
    ['a low surrogate alone', '\udc00a', /lone surrogate/],
    ['surrogates the wrong way round', '\udc00\ud800', /lone surrogate/],
    ['a fraction', 1.5, /a safe integer, given 1\.5/],
    ['NaN', Number.NaN, /a safe integer, given NaN/],
    ['Infinity', Number.POSITIVE_INFINITY, /a safe integer, given Infinity/],
    ['an integer that is not safe', 2 ** 53, /a safe integer, given 9007199254740992/],
    ['a bigint', 1n, /a string or a safe integer, given bigint/],
    ['undefined', undefined, /given undefined/],
    ['null', null, /given null/],
    ['a boolean', true, /given boolean/],
    ['an object', { id: 1 }, /given object/],
    ['an array', ['1'], /given an array/],
    ['a String object', Object('1'), /given object/],
    ['a function', () => '1', /given function/],
    ['a symbol', Symbol('1'), /given symbol/],
  ])('%s', (_, orderId, message) => {
    expect(() => parseOrderId(orderId)).toThrow(
      expect.objectContaining({ code: 'INVALID_ORDER_ID', message: expect.stringMatching(message) }),
    )
  })
})

test('whatever is given comes back unchanged or is refused, and nothing over 200 bytes or with a control comes back', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 250 }), fc.string({ maxLength: 250 })), (text) => {
      let orderId: string | undefined
      try {
        orderId = parseOrderId(text)
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_ORDER_ID', retryable: false })
        return
      }
      expect(orderId).toBe(text)
      expect(Buffer.from(orderId).toString()).toBe(text) // it survives UTF-8
      expect(Buffer.byteLength(orderId)).toBeLessThanOrEqual(200)
      expect([...orderId].some((char) => char < ' ' || (char >= '\u007f' && char <= '\u009f'))).toBe(false)
    }),
  )
})

test('the error calls the id what its caller does, and what the library does otherwise', () => {
  expect(() => parseOrderId('')).toThrow(/^orderId: expected at least one character, given an empty string$/)
  expect(() => parseOrderId('', 'ID')).toThrow(/^ID: expected/)
})
