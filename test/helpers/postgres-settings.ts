import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'

/** The settings of a table `orders` with a column `payment_deadline`, or as a test wants them. */
export function postgresSettings(settings: Partial<PostgresSettings> = {}): PostgresSettings {
  return {
    DATABASE_URL: undefined,
    DATABASE_TLS_CA_FILE: undefined,
    DATABASE_TLS_CERT_FILE: undefined,
    DATABASE_TLS_KEY_FILE: undefined,
    DATABASE_TLS_SERVERNAME: undefined,
    ORDERS_TABLE: 'orders',
    ORDERS_ID_COLUMN: 'id',
    ORDERS_STATUS_COLUMN: 'status',
    ORDERS_DEADLINE_COLUMN: 'payment_deadline',
    ORDERS_DEADLINE_AFTER: undefined,
    ORDERS_DEADLINE_UNIT: undefined,
    ORDERS_TIME_ZONE: undefined,
    ORDERS_PAID_AT_COLUMN: undefined,
    ORDERS_CANCELLED_AT_COLUMN: undefined,
    ORDERS_PAYMENT_COLUMN: undefined,
    ORDERS_METHOD_COLUMN: undefined,
    ORDERS_AMOUNT_COLUMN: undefined,
    ORDERS_UNPAID_STATUSES: ['pending'],
    ORDERS_CANCELLED_STATUS: 'cancelled',
    ORDERS_CONDITION: undefined,
    ORDERS_SET: undefined,
    OUTBOX_TABLE: 'order_expiry_outbox',
    CANCEL_SQL_FILE: undefined,
    REOPEN_SQL_FILE: undefined,
    REOPEN_WITHIN: 900_000,
    cancelSql: undefined,
    reopenSql: undefined,
    ...settings,
  }
}
