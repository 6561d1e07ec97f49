import { z } from 'zod'
import { certificateProblems } from '../../runtime/certificates.ts'
import { readFile, type Settings, type SettingValues } from '../../settings/setting.ts'
import { duration, serverName } from '../../settings/values.ts'
import type { AskedOfStore, StoreOptions } from '../store-kind.ts'
import { type PostgresAddress, parsePostgresAddress } from './address.ts'
import { quoteTable } from './quoting.ts'
import { parseAssignments, parseExpression } from './sql-fragment.ts'
import { tlsFilesOf } from './tls-files.ts'

const tableName = z
  .string()
  .refine((text) => quoteTable(text) !== undefined, 'expected table, schema.table or "quoted"."names"')
const outboxName = tableName.refine(
  (text) => !/"order_expiry_(tables|late_payments)"$/.test(quoteTable(text) ?? ''),
  'expected another name than order_expiry_tables and order_expiry_late_payments, which are tables of ours already',
)
const columnName = z
  .string()
  .refine((text) => Buffer.byteLength(text) <= 63, 'expected a column name of up to 63 bytes')
/** SQL of the shop, checked as far as that goes without the database. */
const fragment = (parse: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      parse(text)
    } catch (error) {
      context.addIssue((error as Error).message)
    }
  })

const isTimeZone = (name: string) => {
  try {
    return /^[a-z]/i.test(name) && new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

const orderStatus = z.string().trim().min(1, 'expected a status')
const orderStatuses = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(orderStatus).min(1))

/** Where the shop's own table is, and what its columns mean. `.env.example` says what each is for. */
export const settings = {
  // With another store, it is the shop's own.
  DATABASE_URL: { schema: z.string().min(1, 'expected a URL'), secret: true, hasHashes: true },
  DATABASE_TLS_CA_FILE: { schema: z.string() },
  DATABASE_TLS_CERT_FILE: { schema: z.string() },
  DATABASE_TLS_KEY_FILE: { schema: z.string() },
  DATABASE_TLS_SERVERNAME: { schema: serverName },
  ORDERS_TABLE: { schema: tableName, default: 'orders', empty: 'refused', sql: 'name' },
  ORDERS_ID_COLUMN: { schema: columnName, default: 'id', empty: 'refused' },
  ORDERS_STATUS_COLUMN: { schema: columnName, default: 'status', empty: 'none' },
  ORDERS_DEADLINE_COLUMN: { schema: columnName, default: 'payment_deadline', empty: 'none' },
  ORDERS_DEADLINE_AFTER: { schema: duration(1, 366 * 86_400_000) },
  ORDERS_DEADLINE_UNIT: { schema: z.enum(['s', 'ms'], 'expected s or ms') },
  ORDERS_TIME_ZONE: {
    schema: z.string().refine(isTimeZone, 'expected an IANA time zone such as Europe/Berlin or UTC'),
  },
  ORDERS_PAID_AT_COLUMN: { schema: columnName },
  ORDERS_CANCELLED_AT_COLUMN: { schema: columnName },
  ORDERS_PAYMENT_COLUMN: { schema: columnName },
  ORDERS_METHOD_COLUMN: { schema: columnName },
  ORDERS_AMOUNT_COLUMN: { schema: columnName },
  ORDERS_UNPAID_STATUSES: { schema: orderStatuses, default: 'pending', empty: 'none' },
  ORDERS_CANCELLED_STATUS: { schema: orderStatus, default: 'cancelled', empty: 'none' },
  ORDERS_CONDITION: { schema: fragment(parseExpression), sql: 'expression', hasHashes: true },
  ORDERS_SET: { schema: fragment(parseAssignments), sql: 'expression', hasHashes: true },
  OUTBOX_TABLE: { schema: outboxName, default: 'order_expiry_outbox', empty: 'refused', sql: 'name' },
  CANCEL_SQL_FILE: { schema: z.string() },
  REOPEN_SQL_FILE: { schema: z.string() },
  REOPEN_WITHIN: { schema: duration(1_000, 366 * 86_400_000), default: '15m' },
} as const satisfies Settings

export type PostgresSettings = SettingValues<typeof settings> & ReturnType<typeof derive>

/**
 * `cancelSql`: the text of CANCEL_SQL_FILE, the shop's own statement in place of ours; see docs/cancel-sql.md. `reopenSql`: that of
 * REOPEN_SQL_FILE; see docs/payments.md.
 */
export function derive(
  { CANCEL_SQL_FILE: cancel, REOPEN_SQL_FILE: reopen }: Record<string, unknown>,
  problems: string[],
): { readonly cancelSql: string | undefined; readonly reopenSql: string | undefined } {
  return {
    cancelSql: readStatement('CANCEL_SQL_FILE', cancel, problems),
    reopenSql: readStatement('REOPEN_SQL_FILE', reopen, problems),
  }
}

function readStatement(name: string, path: unknown, problems: string[]): string | undefined {
  if (typeof path !== 'string') return undefined
  const sql = readFile({ name, path, problems, isCode: true })
  if (sql === '') problems.push(`${name}: expected a statement, ${JSON.stringify(path)} is empty`)
  return sql
}

type Options = StoreOptions<PostgresSettings>
export type PostgresStoreOptions = Pick<Options, 'settings' | 'connections' | 'onError'> &
  Partial<Pick<Options, 'access' | 'areDelivered' | 'watchesPayments' | 'onNotice'>>

/** What is wrong with several settings together. Those that are wrong alone are not given. */
export function contradictions(
  given: Partial<PostgresSettings>,
  { isChosen, watchesPayments, closesPayments }: AskedOfStore,
): string[] {
  const { ORDERS_STATUS_COLUMN: status, ORDERS_UNPAID_STATUSES: unpaid, ORDERS_CANCELLED_STATUS: cancelled } = given
  const hasStatus = isChosen && status !== undefined
  const hasNoStatus = isChosen && status === undefined && !given.CANCEL_SQL_FILE
  return [
    isChosen && given.DATABASE_URL === undefined && 'DATABASE_URL: expected with ORDER_STORE=postgres, given none',
    isChosen &&
      watchesPayments &&
      given.ORDERS_PAID_AT_COLUMN === undefined &&
      'BRAKE_PAYMENT_SILENCE: expected only with ORDERS_PAID_AT_COLUMN, which tells when an order was paid',
    isChosen &&
      closesPayments === true &&
      given.ORDERS_PAYMENT_COLUMN === undefined &&
      "ORDERS_PAYMENT_COLUMN: expected with a PAYMENT_GATEWAY: the column that has the provider's reference of the payment",
    isChosen &&
      closesPayments === false &&
      given.ORDERS_PAYMENT_COLUMN !== undefined &&
      'PAYMENT_GATEWAY: expected with ORDERS_PAYMENT_COLUMN, whose payments are to be closed; given none',
    hasStatus && !unpaid && 'ORDERS_UNPAID_STATUSES: expected at least one, with ORDERS_STATUS_COLUMN; given none',
    hasStatus && !cancelled && 'ORDERS_CANCELLED_STATUS: expected one, with ORDERS_STATUS_COLUMN; given none',
    hasStatus &&
      cancelled &&
      unpaid?.includes(cancelled) &&
      `ORDERS_CANCELLED_STATUS: expected none of ORDERS_UNPAID_STATUSES, given ${JSON.stringify(cancelled)}`,
    isChosen &&
      status === undefined &&
      given.ORDERS_CONDITION === undefined &&
      'ORDERS_CONDITION: expected with an empty ORDERS_STATUS_COLUMN: it must say which orders are unpaid, such as closed_at IS NULL',
    hasNoStatus &&
      given.ORDERS_SET === undefined &&
      'ORDERS_SET: expected with an empty ORDERS_STATUS_COLUMN: it must end what ORDERS_CONDITION asks for, such as closed_at = now()',
    isChosen &&
      given.ORDERS_DEADLINE_COLUMN === undefined &&
      given.ORDERS_DEADLINE_AFTER !== undefined &&
      'ORDERS_DEADLINE_AFTER: expected only with ORDERS_DEADLINE_COLUMN, the time from which it counts',
    ...(['ORDERS_METHOD_COLUMN', 'ORDERS_AMOUNT_COLUMN'] as const).map(
      (name) =>
        isChosen &&
        given[name] !== undefined &&
        given.ORDERS_PAYMENT_COLUMN === undefined &&
        `${name}: expected only with ORDERS_PAYMENT_COLUMN, the provider's reference of the payment`,
    ),
    given.CANCEL_SQL_FILE !== undefined &&
      given.ORDERS_SET !== undefined &&
      'ORDERS_SET: expected to be empty with CANCEL_SQL_FILE, your own statement, which can set the columns itself',
    ...(['CANCEL_SQL_FILE', 'REOPEN_SQL_FILE'] as const).map(
      (name) => !isChosen && given[name] !== undefined && `${name}: expected only with ORDER_STORE=postgres`,
    ),
    isChosen &&
      given.REOPEN_SQL_FILE !== undefined &&
      (given.ORDERS_PAID_AT_COLUMN === undefined || given.ORDERS_CANCELLED_AT_COLUMN === undefined) &&
      'REOPEN_SQL_FILE: expected only with ORDERS_PAID_AT_COLUMN and ORDERS_CANCELLED_AT_COLUMN, which tell how late a payment is',
    ...(isChosen ? addressProblems(given) : []),
  ].filter((problem) => typeof problem === 'string')
}

const UNVERIFIED: readonly unknown[] = ['disable', 'allow', 'prefer', 'no-verify']

function addressProblems(given: Partial<PostgresSettings>): string[] {
  if (given.DATABASE_URL === undefined) return []
  try {
    return tlsProblems(parsePostgresAddress(given.DATABASE_URL), given)
  } catch (error) {
    return [`DATABASE_URL: ${(error as Error).message}`]
  }
}

function tlsProblems(address: PostgresAddress, given: Partial<PostgresSettings>): string[] {
  const { sslmode } = address
  const parts = [
    'CA_FILE',
    'SERVERNAME',
    ...(sslmode === 'disable' ? (['CERT_FILE', 'KEY_FILE'] as const) : []),
  ] as const
  const name = parts.find((part) => given[`DATABASE_TLS_${part}`] !== undefined)
  const effect = sslmode === 'disable' ? 'encrypts nothing' : 'verifies nothing'
  return [
    ...(name && UNVERIFIED.includes(sslmode)
      ? [`DATABASE_TLS_${name}: expected with sslmode=verify-full in DATABASE_URL, given ${sslmode}, which ${effect}`]
      : []),
    ...certificateProblems('DATABASE', tlsFilesOf(address, given)),
  ]
}
