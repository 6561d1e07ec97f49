import type { Redis } from 'ioredis'
import type { OrderStore } from '../order/store.ts'
import type { PostgresStoreOptions } from './postgres.ts'

/** Which store, with all it needs. */
export type StoreChoice =
  | { kind: 'redis'; connect: () => Redis; queueName: string; queuePrefix: string }
  | ({ kind: 'postgres' } & PostgresStoreOptions)

/**
 * Opens the order store, loading only the driver it needs.
 *
 * @throws {OrderExpiryError} STORE_* or OUTBOX_MISSING
 */
export async function openStore(choice: StoreChoice): Promise<OrderStore> {
  switch (choice.kind) {
    case 'redis': {
      const { RedisStore } = await import('./redis.ts')
      const store = new RedisStore({ ...choice, redis: choice.connect() })
      try {
        await store.ping()
        return store
      } catch (error) {
        await store.close()
        throw error
      }
    }
    case 'postgres': {
      const { PostgresStore } = await import('./postgres.ts')
      return PostgresStore.open(choice)
    }
  }
}

/** Creates what the store needs beside the orders. @returns the statements; empty where there is nothing to create */
export async function migrateStore(choice: StoreChoice, options: { dryRun: boolean }): Promise<string[]> {
  if (choice.kind !== 'postgres') return []
  const { PostgresStore } = await import('./postgres.ts')
  return PostgresStore.migrate({ ...choice, dryRun: options.dryRun })
}
