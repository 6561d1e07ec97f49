import type { Redis } from 'ioredis'
import { examine, type Finding, finding } from '../doctor/finding.ts'
import type { OrderStore } from '../order/store.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MigrationOptions, MissingIndex } from './postgres/migration.ts'
import type { PostgresStoreOptions } from './postgres/store.ts'

/** Which store, with all it needs. */
export type StoreChoice =
  | { kind: 'redis'; connect: () => Redis; queue: NamedQueue }
  | ({ kind: 'postgres' } & PostgresStoreOptions)

/**
 * Opens the order store, loading only the driver it needs.
 *
 * @throws {OrderExpiryError} STORE_* or OUTBOX_MISSING
 */
export async function openStore(choice: StoreChoice): Promise<OrderStore> {
  switch (choice.kind) {
    case 'redis': {
      const { RedisStore } = await import('./redis/store.ts')
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
      const { PostgresStore } = await import('./postgres/store.ts')
      return PostgresStore.open(choice)
    }
  }
}

/**
 * Creates what the store needs beside the orders, and the indexes of their table if asked to.
 *
 * @returns the indexes still missing
 */
export async function migrateStore(choice: StoreChoice, options: MigrationOptions): Promise<MissingIndex[]> {
  if (choice.kind !== 'postgres') return []
  const { PostgresStore } = await import('./postgres/store.ts')
  return PostgresStore.migrate({ ...choice, ...options })
}

const DIAGNOSIS_MS = 10_000

/**
 * Looks at the order store, and changes nothing. Never rejects, and ends within 10 s.
 *
 * @param options.watchesPayments whether the brake watches for the silence of payments
 */
export async function diagnoseStore(
  choice: StoreChoice,
  options: { clock: Clock; watchesPayments: boolean },
): Promise<Finding[]> {
  const { clock } = options
  const look = async () => {
    if (choice.kind === 'postgres') {
      const { PostgresStore } = await import('./postgres/store.ts')
      return PostgresStore.diagnose({ ...choice, ...options })
    }
    const { RedisOrders } = await import('./redis/store.ts')
    const { diagnoseRedisOrders } = await import('./redis/diagnosis.ts')
    const redis = choice.connect()
    try {
      const findings = await diagnoseRedisOrders(new RedisOrders({ ...choice, redis }))
      return [finding('ok', 'store-reachable', { what: 'the orders are in Redis' }), ...findings]
    } finally {
      redis.disconnect()
    }
  }
  return examine({ code: 'store-reachable', withinMs: DIAGNOSIS_MS, clock, look })
}
