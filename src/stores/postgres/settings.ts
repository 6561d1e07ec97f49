import { z } from 'zod'
import { readFile, type Settings, type SettingValues } from '../../settings/setting.ts'
import type { StoreOptions } from '../store-kind.ts'
import { quoteTable } from './quoting.ts'

const databaseUrl = z
  .string()
  .refine(
    (text) => URL.canParse(text) && ['postgres:', 'postgresql:'].includes(new URL(text).protocol),
    'expected postgres://user:password@host:5432/database',
  )
const tableName = z
  .string()
  .refine((text) => quoteTable(text) !== undefined, 'expected table, schema.table or "quoted"."names"')
const columnName = z
  .string()
  .refine((text) => Buffer.byteLength(text) <= 63, 'expected a column name of up to 63 bytes')
const orderStatus = z.string().trim().min(1, 'expected a status')
const orderStatuses = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(orderStatus).min(1))

/** Where the shop's own table is, and what its columns mean. `.env.example` says what each is for. */
export const settings = {
  DATABASE_URL: { schema: databaseUrl, secret: true },
  ORDERS_TABLE: { schema: tableName, default: 'orders' },
  ORDERS_ID_COLUMN: { schema: columnName, default: 'id' },
  ORDERS_STATUS_COLUMN: { schema: columnName, default: 'status' },
  ORDERS_DEADLINE_COLUMN: { schema: columnName, default: 'payment_deadline', emptyIsNone: true },
  ORDERS_PAID_AT_COLUMN: { schema: columnName },
  ORDERS_CANCELLED_AT_COLUMN: { schema: columnName },
  ORDERS_UNPAID_STATUSES: { schema: orderStatuses, default: 'pending' },
  ORDERS_CANCELLED_STATUS: { schema: orderStatus, default: 'cancelled' },
  CANCEL_SQL_FILE: { schema: z.string() },
} as const satisfies Settings

export type PostgresSettings = SettingValues<typeof settings> & ReturnType<typeof derive>

/** `cancelSql`: the text of CANCEL_SQL_FILE, the shop's own statement in place of ours; see docs/cancel-sql.md. */
export function derive(
  { CANCEL_SQL_FILE: path }: Record<string, unknown>,
  problems: string[],
): { readonly cancelSql: string | undefined } {
  if (typeof path !== 'string') return { cancelSql: undefined }
  const cancelSql = readFile({ name: 'CANCEL_SQL_FILE', path, problems })
  if (cancelSql === '') problems.push(`CANCEL_SQL_FILE: expected a statement, ${JSON.stringify(path)} is empty`)
  return { cancelSql }
}

type Options = StoreOptions<PostgresSettings>
export type PostgresStoreOptions = Pick<Options, 'settings' | 'connections' | 'onError'> &
  Partial<Pick<Options, 'watchesPayments' | 'onNotice'>>

/** What is wrong with several settings together. Those that are wrong alone are not given. */
export function contradictions(
  given: Partial<PostgresSettings>,
  { isChosen, watchesPayments }: { isChosen: boolean; watchesPayments: boolean },
): string[] {
  const { ORDERS_UNPAID_STATUSES: unpaid = [], ORDERS_CANCELLED_STATUS: cancelled = '' } = given
  return [
    isChosen && given.DATABASE_URL === undefined && 'DATABASE_URL: expected with ORDER_STORE=postgres, given none',
    isChosen &&
      watchesPayments &&
      given.ORDERS_PAID_AT_COLUMN === undefined &&
      'BRAKE_PAYMENT_SILENCE: expected only with ORDERS_PAID_AT_COLUMN, which tells when an order was paid',
    unpaid.includes(cancelled) &&
      `ORDERS_CANCELLED_STATUS: expected none of ORDERS_UNPAID_STATUSES, given ${JSON.stringify(cancelled)}`,
    !isChosen && given.CANCEL_SQL_FILE !== undefined && 'CANCEL_SQL_FILE: expected only with ORDER_STORE=postgres',
  ].filter((problem) => problem !== false)
}
