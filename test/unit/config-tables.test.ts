import { describe, expect, test } from '@jest/globals'
import { readConfig, SETTINGS } from '../../src/config.ts'
import { STORE_SETTINGS } from '../../src/stores/kinds.ts'

const URL = 'postgres://shop@127.0.0.1/shop'
/** What the tables and their indexes depend on. */
const OF_TABLES = new Set(['ORDER_STORE', 'BRAKE_PAYMENT_SILENCE', ...Object.keys(STORE_SETTINGS)])
const BESIDE = ['CANCEL_SQL_FILE', 'REOPEN_SQL_FILE', 'REOPEN_WITHIN']
for (const name of BESIDE) OF_TABLES.delete(name)

const read = (env: Record<string, string>) =>
  readConfig({ env: { ORDER_STORE: 'postgres', DATABASE_URL: URL, ...env }, dotenv: {}, only: 'tables' })

describe('who opens the tables alone', () => {
  test.each(Object.keys(SETTINGS))('is refused a wrong %s if the tables depend on it, and only then', (name) => {
    const isSql = 'sql' in SETTINGS[name as keyof typeof SETTINGS]
    const wrong = () => read({ [name]: isSql ? "'x'" : '"x"' })
    if (!OF_TABLES.has(name)) expect(wrong).not.toThrow()
    else expect(wrong).toThrow(name)
  })

  test('needs no Redis, no user, and none of the files of other parts', () => {
    const missing = '/nowhere/to/be/found'
    const env = {
      NODE_ENV: 'production',
      HTTP_HOST: '0.0.0.0',
      REDIS_TLS_CA_FILE: missing,
      API_TOKENS_FILE: missing,
      CANCEL_SQL_FILE: missing,
    }
    expect(read(env)).toMatchObject({ DATABASE_URL: URL, production: true })
  })

  test('is refused a name with a slip in it, which could be that of another table', () => {
    expect(() => read({ ORDERS_TABEL: 'bookings' })).toThrow('ORDERS_TABEL: unknown setting')
  })

  test('is refused a database whose CA cannot be read', () => {
    expect(() => read({ DATABASE_TLS_CA_FILE: '/nowhere' })).toThrow('DATABASE_TLS_CA_FILE')
    expect(() => read({ DATABASE_URL: '' })).toThrow('DATABASE_URL')
  })
})
