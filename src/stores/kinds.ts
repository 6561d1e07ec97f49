import { examine, type Finding } from '../doctor/finding.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import { findContradictions, type PostgresSettings, postgresSettings } from './postgres/settings.ts'
import { DEFAULT_RECORDS } from './records.ts'
import type { MigrationOptions, MissingIndex, StoreOptions } from './store-kind.ts'

/**
 * The kinds of order stores: what can be known of each before its code and its driver are loaded.
 * `recordsAs`: the library's option `orders`, where it records the orders itself.
 */
export const KINDS = {
  redis: {
    recordsAs: 'redis',
    contradictions: () => [],
    load: async () => (await import('./redis/kind.ts')).redisKind,
  },
  postgres: {
    recordsAs: undefined,
    contradictions: findContradictions,
    load: async () => (await import('./postgres/kind.ts')).postgresKind,
  },
} as const

type StoreName = keyof typeof KINDS
export const STORE_NAMES = Object.keys(KINDS) as [StoreName, ...StoreName[]]
export const DEFAULT_STORE: StoreName = DEFAULT_RECORDS

/** The settings of all kinds. */
export const STORE_SETTINGS = postgresSettings

/** The chosen kind, with all that any kind may need. */
export interface StoreChoice extends StoreOptions<PostgresSettings> {
  kind: StoreName
}

export async function openStore(choice: StoreChoice): Promise<OrderStore> {
  return (await KINDS[choice.kind].load()).open(choice)
}

export async function migrateStore(choice: StoreChoice, migration: MigrationOptions): Promise<MissingIndex[]> {
  return (await KINDS[choice.kind].load()).migrate(choice, migration)
}

/** Never rejects, and ends within 10 s. */
export function diagnoseStore(choice: StoreChoice, clock: Clock): Promise<Finding[]> {
  const look = async () => (await KINDS[choice.kind].load()).diagnose(choice, clock)
  return examine({ code: 'store-reachable', withinMs: 10_000, clock, look })
}
