import { readdirSync, readFileSync } from 'node:fs'
import { STATUS_CODES } from 'node:http'
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

  test.each(ERROR_CODES)(
    '%s has an HTTP status of an error, and 503 exactly if trying again can help or the client is closed',
    (code) => {
      const { httpStatus, retryable } = new OrderExpiryError(code, 'x')
      expect(STATUS_CODES[httpStatus]).toBeDefined()
      expect(httpStatus).toBeGreaterThanOrEqual(400)
      expect(httpStatus === 503).toBe(retryable || code === 'CLOSED')
    },
  )

  test('calls retryable what passes by itself, and nothing else', () => {
    const retryable = ERROR_CODES.filter((code) => new OrderExpiryError(code, 'x').retryable)
    expect(retryable.sort()).toEqual(['REDIS_UNAVAILABLE', 'STORE_BUSY', 'STORE_UNAVAILABLE'])
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
