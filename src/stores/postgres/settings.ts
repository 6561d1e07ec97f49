import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { columnName, databaseUrl, orderStatus } from '../../settings/values.ts'
import { quoteTable } from './columns.ts'

/** Where the shop's own table is, and what its columns mean. `.env.example` says what each is for. */
export const postgresSettings = {
  DATABASE_URL: { schema: databaseUrl, secret: true },
  ORDERS_TABLE: {
    schema: z
      .string()
      .refine((text) => quoteTable(text) !== undefined, 'expected table, schema.table or "quoted"."names"'),
    default: 'orders',
  },
  ORDERS_ID_COLUMN: { schema: columnName, default: 'id' },
  ORDERS_STATUS_COLUMN: { schema: columnName, default: 'status' },
  ORDERS_DEADLINE_COLUMN: { schema: columnName, default: 'payment_deadline', emptyIsNone: true },
  ORDERS_PAID_AT_COLUMN: { schema: columnName },
  ORDERS_CANCELLED_AT_COLUMN: { schema: columnName },
  ORDERS_UNPAID_STATUSES: {
    schema: z
      .string()
      .transform((text) => text.split(','))
      .pipe(z.array(orderStatus).min(1)),
    default: 'pending',
  },
  ORDERS_CANCELLED_STATUS: { schema: orderStatus, default: 'cancelled' },
  CANCEL_SQL_FILE: { schema: z.string() },
} as const satisfies Settings

/** Not those that have a problem of their own. */
export type PostgresSettings = SettingValues<typeof postgresSettings>

/**
 * What no single setting shows.
 *
 * @param options.isChosen whether the orders are to be in PostgreSQL
 * @param options.watchesPayments whether the brake watches for the silence of payments
 */
export function findContradictions(
  settings: Partial<PostgresSettings>,
  { isChosen, watchesPayments }: { isChosen: boolean; watchesPayments: boolean },
): string[] {
  const { ORDERS_UNPAID_STATUSES: unpaid = [], ORDERS_CANCELLED_STATUS: cancelled = '' } = settings
  const problems: string[] = []
  if (isChosen && settings.DATABASE_URL === undefined) {
    problems.push('DATABASE_URL: expected with ORDER_STORE=postgres, given none')
  }
  if (isChosen && watchesPayments && settings.ORDERS_PAID_AT_COLUMN === undefined) {
    problems.push('BRAKE_PAYMENT_SILENCE: expected only with ORDERS_PAID_AT_COLUMN, which tells when an order was paid')
  }
  if (unpaid.includes(cancelled)) {
    problems.push(
      `ORDERS_CANCELLED_STATUS: expected none of ORDERS_UNPAID_STATUSES, given ${JSON.stringify(cancelled)}`,
    )
  }
  if (!isChosen && settings.CANCEL_SQL_FILE !== undefined) {
    problems.push('CANCEL_SQL_FILE: expected only with ORDER_STORE=postgres')
  }
  return problems
}
