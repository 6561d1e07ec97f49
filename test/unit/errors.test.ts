import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { asOrderExpiryError, ERROR_CODES, OrderExpiryError } from '../../src/errors.ts'

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))

/** Every source but the catalogue's own rows, which begin with the code unquoted. */
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(SRC + path, 'utf8'))
  .join('\n')

describe('the catalogue', () => {
  test('has codes in upper case with underscores, each once', () => {
    expect(ERROR_CODES.length).toBeGreaterThan(10)
    expect(ERROR_CODES.filter((code) => !/^[A-Z]+(_[A-Z]+)*$/.test(code))).toEqual([])
    expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length)
    // Two rows with the same name would be one property: they are counted in the text.
    const rows = [...readFileSync(`${SRC}errors.ts`, 'utf8').matchAll(/^ {2}([A-Z_]+): \{ retryable/gm)].map(
      ([, code]) => code,
    )
    expect(rows).toEqual(ERROR_CODES)
  })

  test.each(ERROR_CODES)('%s is used', (code) => {
    expect(sources).toContain(`'${code}'`)
  })

  test.each(ERROR_CODES)('%s has the HTTP status of whose fault it is', (code) => {
    const { httpStatus, retryable } = new OrderExpiryError(code, 'x')
    // Those of the HTTP server itself besides: RFC 9110.
    expect([400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 500, 503]).toContain(httpStatus)
    // 503 asks the caller to try again, and a closed client is of a process that is about to be replaced.
    const asksAgain = [408, 429, 503].includes(httpStatus) || code === 'CHECK_UNDER_WAY'
    expect(asksAgain).toBe(retryable || code === 'CLOSED')
    if (httpStatus === 400) expect(code).toMatch(/^INVALID_|^UNKNOWN_/)
  })

  test('calls retryable what passes by itself, and nothing else', () => {
    const retryable = ERROR_CODES.filter((code) => new OrderExpiryError(code, 'x').retryable)
    expect(retryable.sort()).toEqual([
      'CHECK_UNDER_WAY',
      'RATE_LIMITED',
      'REDIS_UNAVAILABLE',
      'REQUEST_TIMEOUT',
      'STOPPING',
      'STORE_BUSY',
      'STORE_DEADLOCK',
      'STORE_LOCKED',
      'STORE_READ_ONLY',
      'STORE_SERIALIZATION',
      'STORE_UNAVAILABLE',
      'STORE_UNDECIDED',
    ])
  })
})

describe('OrderExpiryError', () => {
  test('is an Error with its code, its message and its cause', () => {
    const cause = new Error('below')
    const error = new OrderExpiryError('STORE_BUSY', 'locked', { cause })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: 'OrderExpiryError', code: 'STORE_BUSY', message: 'locked', cause })
    expect(String(error)).toBe('OrderExpiryError: locked')
    expect('cause' in new OrderExpiryError('STORE_BUSY', 'locked')).toBe(false)
  })
})

describe('asOrderExpiryError', () => {
  test('leaves our own errors as they are', () => {
    const error = new OrderExpiryError('CLOSED', 'closed')
    expect(asOrderExpiryError(error)).toBe(error)
  })

  test.each<[what: string, cause: unknown, message: string]>([
    ['an error', new TypeError('x is undefined'), 'x is undefined'],
    ['a string', 'gone', 'gone'],
    ['nothing', undefined, 'undefined'],
    ['an object', { code: 'X' }, '[object Object]'],
  ])('makes %s UNEXPECTED, with its message and itself as the cause', (_, cause, message) => {
    expect(asOrderExpiryError(cause)).toMatchObject({ code: 'UNEXPECTED', message, cause, retryable: false })
  })
})
