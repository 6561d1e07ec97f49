import { examine, type Finding } from '../doctor/finding.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import type { SettingValues } from '../settings/setting.ts'
import * as postgres from './postgres/settings.ts'
import { DEFAULT_RECORDS } from './records.ts'
import type { AskedOfStore, MigrationOptions, MissingIndex, StoreOptions } from './store-kind.ts'

/**
 * The kinds of order stores: what can be known of each before its code and its driver are loaded. A new kind is a folder, and
 * an entry here.
 *
 * - `recordsAs`: the library's option `orders`, where it records the orders itself.
 * - `settings`: its rows of the table of settings; `derive` adds what follows from their values, `contradictions` finds what
 *   is wrong with several together.
 */
export const KINDS = {
  redis: {
    recordsAs: 'redis',
    settings: {},
    derive: () => ({}),
    contradictions: (_: unknown, { isChosen, closesPayments }: AskedOfStore) =>
      isChosen && closesPayments
        ? ['PAYMENT_GATEWAY: expected with an orders table, whose rows name their payments; this ORDER_STORE has none']
        : [],
    load: async () => (await import('./redis/kind.ts')).redisKind,
  },
  postgres: {
    recordsAs: undefined,
    ...postgres,
    load: async () => (await import('./postgres/kind.ts')).postgresKind,
  },
} as const

type StoreName = keyof typeof KINDS
export const STORE_NAMES = Object.keys(KINDS) as [StoreName, ...StoreName[]]
export const DEFAULT_STORE: StoreName = DEFAULT_RECORDS

type Kind = (typeof KINDS)[StoreName]
/** What each of a union has. */
type All<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer Every) => void
  ? Every
  : never

/** The settings of all kinds, and what follows from them. */
export const STORE_SETTINGS = Object.assign({}, ...STORE_NAMES.map((name) => KINDS[name].settings)) as All<
  Kind['settings']
>
export type DerivedSettings = All<ReturnType<Kind['derive']>>

export function deriveSettings(values: Record<string, unknown>, problems: string[]): DerivedSettings {
  return Object.assign({}, ...STORE_NAMES.map((name) => KINDS[name].derive(values, problems))) as DerivedSettings
}

/** The chosen kind, with all that any kind may need. */
export interface StoreChoice extends StoreOptions<SettingValues<typeof STORE_SETTINGS> & DerivedSettings> {
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
