import type { StoreKind, StoreOptions } from '../store-kind.ts'
import type { PostgresSettings } from './settings.ts'
import { PostgresStore, type PostgresStoreOptions } from './store.ts'

type Options = StoreOptions<PostgresSettings & { readonly cancelSql: string | undefined }>

/** Orders in the shop's own table. */
export const postgresKind: StoreKind<Options['settings']> = {
  open: (options) => PostgresStore.open(storeOptions(options)),
  migrate: (options, migration) => PostgresStore.migrate({ ...storeOptions(options), ...migration }),
  diagnose: (options, clock) => PostgresStore.diagnose({ ...storeOptions(options), clock }),
}

function storeOptions({ settings, connections, watchesPayments, onError, onNotice }: Options): PostgresStoreOptions {
  return {
    url: settings.DATABASE_URL as string, // the settings are refused without it
    mapping: {
      table: settings.ORDERS_TABLE,
      idColumn: settings.ORDERS_ID_COLUMN,
      statusColumn: settings.ORDERS_STATUS_COLUMN,
      deadlineColumn: settings.ORDERS_DEADLINE_COLUMN,
      paidAtColumn: settings.ORDERS_PAID_AT_COLUMN,
      cancelledAtColumn: settings.ORDERS_CANCELLED_AT_COLUMN,
      unpaidStatuses: settings.ORDERS_UNPAID_STATUSES,
      cancelledStatus: settings.ORDERS_CANCELLED_STATUS,
    },
    cancelSql: settings.cancelSql,
    watchesPayments,
    connections,
    onError,
    onNotice,
  }
}
