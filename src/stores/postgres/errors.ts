import { isNativeError } from 'node:util/types'
import { type ErrorCode, OrderExpiryError } from '../../errors.ts'
import { tlsSettings, tlsTrouble } from '../../runtime/certificates.ts'

/**
 * SQLSTATE (or its class, the first two characters) → our code. The longest match counts.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const BY_SQLSTATE: Record<string, ErrorCode> = {
  '08': 'STORE_UNAVAILABLE', // connection exception
  '53': 'STORE_BUSY', // overload: connection slots, memory, disk
  '57P': 'STORE_UNAVAILABLE', // shutting down, crashed, starting up
  '25006': 'STORE_READ_ONLY', // a standby, or a failover under way
  '57014': 'STORE_BUSY', // cancelled: the statement time-out
  '40P01': 'STORE_DEADLOCK',
  '40': 'STORE_SERIALIZATION', // serialization failure, and other rollbacks after which a retry can succeed
  '55P03': 'STORE_LOCKED', // the lock time-out: a trigger's, a stock row's or a migration's lock
  '55006': 'STORE_LOCKED', // object in use
  '25P': 'STORE_BUSY', // idle-in-transaction time-out: this process has been frozen
  '28': 'STORE_REFUSED', // authorization
  '3D': 'STORE_REFUSED', // no such database
  '0A': 'STORE_MISMATCH', // not possible with such a table: rules, or a view that adds up
  '42501': 'STORE_REFUSED', // insufficient privilege
  '42': 'STORE_MISMATCH', // tables, columns or the statement are not what is expected
  '3F': 'STORE_MISMATCH', // no such schema
}

/** The SQLSTATE of an error that PostgreSQL itself reported; undefined for errors of the connection. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'severity' in error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** An error of the driver in our own words. It may name a host and a user, never a password. */
export function asStoreError(error: unknown): OrderExpiryError {
  if (error instanceof OrderExpiryError) return error
  const why = isNativeError(error) ? error.message || String('code' in error ? error.code : error.name) : String(error)
  const state = sqlStateOf(error)
  const trouble = databaseTlsTrouble(error)
  if (trouble) {
    return new OrderExpiryError('STORE_REFUSED', `PostgreSQL: ${trouble.what}; ${trouble.remedy}`, { cause: error })
  }
  if (!state) {
    return new OrderExpiryError('STORE_UNAVAILABLE', `PostgreSQL cannot be used now: ${why}`, { cause: error })
  }
  const [code = 'STORE_REJECTED'] = [5, 3, 2].flatMap((length) => BY_SQLSTATE[state.slice(0, length)] ?? [])
  return new OrderExpiryError(code, `PostgreSQL: ${why} (SQLSTATE ${state})`, { cause: error })
}

/** An error of a connection that is being made: no order is to blame, even if a pooler tells it as an internal error (XX000). */
export function asConnectError(error: unknown): OrderExpiryError {
  const told = asStoreError(error)
  if (told.code !== 'STORE_REJECTED') return told
  return new OrderExpiryError('STORE_UNAVAILABLE', told.message, { cause: error })
}

/** Refusals that only the text of the driver or the server tells. */
const TOLD_BY_TEXT: { text: RegExp; what: string; remedy: string }[] = [
  {
    text: /does not support SSL connections/,
    what: 'the server does not speak TLS',
    remedy: 'turn on ssl on the server, or write sslmode=disable in DATABASE_URL',
  },
  {
    text: /no encryption|SSL off|SSL required|connection is insecure|require_secure_transport/i,
    what: 'the server takes connections with TLS only, or other users, databases or addresses',
    remedy: 'write sslmode=verify-full in DATABASE_URL (docs/tls.md), or correct user and database',
  },
  {
    text: /valid client certificate|certificate authentication failed/i,
    what: 'the server wants a certificate of this user',
    remedy: 'set DATABASE_TLS_CERT_FILE and DATABASE_TLS_KEY_FILE',
  },
  {
    // In a pooler's own words: PgBouncer, Supavisor (Supabase) and Neon have codes of outages or internal errors for it.
    text: /^(password|SASL) authentication failed|login failed: .*authentication failed|no such user: |tenant or user not found/i,
    what: 'the user or the password is wrong',
    remedy: 'correct them in DATABASE_URL, with special characters percent-encoded',
  },
  {
    text: /no such database|requested endpoint could not be found|endpoint ID is not specified/i,
    what: 'a pooler does not know the database',
    remedy: 'correct the host and the database in DATABASE_URL',
  },
  {
    text: /statement pooling mode/i,
    what: 'a pooler gives each statement a session of its own',
    remedy: 'set its pool_mode to transaction or session, or connect without it: a cancellation is one transaction',
  },
  {
    text: /unsupported startup parameter/i,
    what: 'a pooler does not know a parameter of DATABASE_URL',
    remedy: 'take options out of DATABASE_URL, or set it on the role: ALTER ROLE … SET …',
  },
]

/** {@link tlsTrouble}, and what else only a change of DATABASE_URL can mend. */
export function databaseTlsTrouble(error: unknown): ReturnType<typeof tlsTrouble> {
  // Not what a trigger of the shop says.
  if (!isNativeError(error) || !/^(|08...|28...|XX...)$/.test(sqlStateOf(error) ?? '')) return undefined
  const told = TOLD_BY_TEXT.find(({ text }) => text.test(error.message))
  if (!told) return tlsTrouble(error, tlsSettings('DATABASE'))
  return { what: `${told.what} (${error.message})`, remedy: told.remedy }
}
