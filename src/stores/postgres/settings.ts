import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { columnName, databaseUrl, orderStatus } from '../../settings/values.ts'
import { quoteTable } from './columns.ts'

/** Where the shop's own table is, and what its columns mean. */
export const postgresSettings = {
  DATABASE_URL: {
    schema: databaseUrl,
    description: 'The database of the orders, for ORDER_STORE=postgres.',
    secret: true,
  },
  ORDERS_TABLE: {
    schema: z
      .string()
      .refine((text) => quoteTable(text) !== undefined, 'expected table, schema.table or "quoted"."names"'),
    default: 'orders',
    description: 'Your orders table, schema-qualified if need be. Names are exact.',
  },
  ORDERS_ID_COLUMN: {
    schema: columnName,
    default: 'id',
    description: 'text, varchar, uuid, smallint, integer or bigint; with a unique index.',
  },
  ORDERS_STATUS_COLUMN: { schema: columnName, default: 'status', description: 'text, varchar or an enum.' },
  ORDERS_DEADLINE_COLUMN: {
    schema: columnName,
    default: 'payment_deadline',
    description: "timestamptz, or timestamp in UTC. Empty: the job's deadline counts, and the sweep finds nothing.",
    emptyIsNone: true,
  },
  ORDERS_PAID_AT_COLUMN: { schema: columnName, description: 'If set: an order is cancelled only while this is null.' },
  ORDERS_CANCELLED_AT_COLUMN: { schema: columnName, description: 'If set: written when an order is cancelled.' },
  ORDERS_UNPAID_STATUSES: {
    schema: z
      .string()
      .transform((text) => text.split(','))
      .pipe(z.array(orderStatus).min(1)),
    default: 'pending',
    description: 'The statuses, comma-separated, in which an order counts as unpaid. Any other is kept.',
  },
  ORDERS_CANCELLED_STATUS: {
    schema: orderStatus,
    default: 'cancelled',
    description: 'The status of a cancelled order.',
  },
  CANCEL_SQL_FILE: {
    schema: z.string(),
    description: 'Your own statement in place of the built-in one, e.g. to give stock back; see docs/cancel-sql.md.',
  },
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
