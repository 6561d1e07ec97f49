import { describe, expect, test } from '@jest/globals'
import { type ErrorCode, OrderExpiryError } from '../../../../src/errors.ts'
import { asConnectError, asStoreError, sqlStateOf } from '../../../../src/stores/postgres/errors.ts'

/** An error as pg makes it of one that the server reports. */
const reported = (code: string, message = 'no') => Object.assign(new Error(message), { severity: 'ERROR', code })

describe('an error that PostgreSQL reports', () => {
  test.each<[state: string, what: string, code: ErrorCode]>([
    ['08006', 'connection failure', 'STORE_UNAVAILABLE'],
    ['53300', 'too many connections', 'STORE_BUSY'],
    ['53100', 'disk full', 'STORE_BUSY'],
    ['57P01', 'administrator shut it down', 'STORE_UNAVAILABLE'],
    ['57P02', 'crashed', 'STORE_UNAVAILABLE'],
    ['57P03', 'starting up', 'STORE_UNAVAILABLE'],
    ['25006', 'read-only, as a standby is', 'STORE_READ_ONLY'],
    ['57014', 'statement time-out', 'STORE_BUSY'],
    ['40001', 'serialization failure', 'STORE_SERIALIZATION'],
    ['40000', 'rolled back', 'STORE_SERIALIZATION'],
    ['40P01', 'deadlock', 'STORE_DEADLOCK'],
    ['55006', 'object in use', 'STORE_LOCKED'],
    ['55P03', 'lock not available', 'STORE_LOCKED'],
    ['25P03', 'idle in transaction', 'STORE_BUSY'],
    ['28P01', 'wrong password', 'STORE_REFUSED'],
    ['28000', 'no such user', 'STORE_REFUSED'],
    ['3D000', 'no such database', 'STORE_REFUSED'],
    ['42501', 'no privilege', 'STORE_REFUSED'],
    ['42P01', 'no such table', 'STORE_MISMATCH'],
    ['42703', 'no such column', 'STORE_MISMATCH'],
    ['42601', 'syntax error', 'STORE_MISMATCH'],
    ['3F000', 'no such schema', 'STORE_MISMATCH'],
    ['23514', 'check constraint', 'STORE_REJECTED'],
    ['23503', 'foreign key', 'STORE_REJECTED'],
    ['22P02', 'invalid text for a type', 'STORE_REJECTED'],
    ['P0001', 'raised by a trigger', 'STORE_REJECTED'],
    ['XX000', 'internal error', 'STORE_REJECTED'],
    ['ZZZZZ', 'a code of the shop', 'STORE_REJECTED'],
  ])('%s (%s) is %s', (state, what, code) => {
    const cause = reported(state, what)
    expect(asStoreError(cause)).toMatchObject({
      code,
      message: `PostgreSQL: ${what} (SQLSTATE ${state})`,
      cause,
    })
  })

  test('can be retried where it passes by itself, and only there', () => {
    const retryable = ['08006', '57014', '28P01', '42P01', '23514'].map(
      (state) => asStoreError(reported(state)).retryable,
    )
    expect(retryable).toEqual([true, true, false, false, false])
  })
})

describe('what a pooler says, whose codes are those of outages and internal errors', () => {
  test.each([
    ['08P01', 'password authentication failed'],
    ['08P01', 'no such user: shop'],
    ['08P01', 'SASL authentication failed'],
    ['08006', 'server login failed: FATAL password authentication failed for user "shop"'],
    ['08P01', 'no such database: shop'],
    ['08P01', 'transaction blocks not allowed in statement pooling mode'],
    ['XX000', 'Tenant or user not found'],
    ['XX000', 'Endpoint ID is not specified. Either please upgrade the postgres client library'],
    ['XX000', "The requested endpoint could not be found, or you don't have access to it."],
  ])('%s %s: is no outage, and told with what to do', (state, text) => {
    const { code, message } = asStoreError(reported(state, text))
    expect(code).toBe('STORE_REFUSED')
    expect(message).toContain(text)
    expect(message).toMatch(/; (correct|set) .*(DATABASE_URL|pool_mode)/)
  })

  test.each([
    ['XX000', 'Max client connections reached', 'STORE_UNAVAILABLE'],
    ['08P01', 'no more connections allowed (max_client_conn)', 'STORE_UNAVAILABLE'],
    ['53300', 'too many connections', 'STORE_BUSY'],
    ['28000', 'no such role', 'STORE_REFUSED'],
  ])('%s %s: of a connection that is being made blames no order', (state, text, code) => {
    expect(asConnectError(reported(state, text))).toMatchObject({ code, cause: expect.anything() })
  })
})

describe('an error of the connection', () => {
  test.each<[what: string, error: unknown, why: string]>([
    ['refused', Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }), 'connect ECONNREFUSED'],
    [
      'broken, whose code has five capitals like an SQLSTATE',
      Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }),
      'write EPIPE',
    ],
    ['ended', new Error('Connection terminated unexpectedly'), 'Connection terminated unexpectedly'],
    ['refused at every address', Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    ['without a message or a code', new TypeError(), 'TypeError'],
    ['that is no error', 'gone', 'gone'],
  ])('(%s) is STORE_UNAVAILABLE, with its reason', (_, error, why) => {
    expect(asStoreError(error)).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
      message: `PostgreSQL cannot be used now: ${why}`,
      cause: error,
    })
  })
})

test('our own errors are left alone', () => {
  const error = new OrderExpiryError('OUTBOX_MISSING', 'run migrate')
  expect(asStoreError(error)).toBe(error)
})

describe('sqlStateOf', () => {
  test('is the code of an error that the server reports', () => {
    expect(sqlStateOf(reported('23514'))).toBe('23514')
  })

  test.each<[what: string, error: unknown]>([
    ['an error of the system', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })],
    ['an error with another kind of code', reported('ECONNREFUSED')],
    ['an error without a code', Object.assign(new Error('x'), { severity: 'FATAL' })],
    ['something that is no error', { severity: 'ERROR', code: '23514' }],
    ['nothing', undefined],
  ])('is undefined for %s', (_, error) => {
    expect(sqlStateOf(error)).toBeUndefined()
  })
})
