import type { StoreKind } from '../store-kind.ts'
import { diagnosePostgres } from './diagnosis/diagnosis.ts'
import { migratePostgres } from './migration.ts'
import type { PostgresSettings } from './settings.ts'
import { PostgresStore } from './store.ts'

/** Orders in the shop's own table. */
export const postgresKind: StoreKind<PostgresSettings> = {
  open: PostgresStore.open,
  migrate: migratePostgres,
  diagnose: diagnosePostgres,
}
