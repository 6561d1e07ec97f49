import { examine, type Finding } from '../../src/doctor/finding.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { diagnoseTable } from '../../src/stores/postgres/kind.ts'
import type { PostgresStoreOptions } from '../../src/stores/postgres/store.ts'

/** What doctor says of an orders table, without the settings that lead to it. */
export function diagnosePostgres(options: PostgresStoreOptions, clock: Clock = systemClock): Promise<Finding[]> {
  return examine({
    code: 'store-reachable',
    withinMs: 10_000,
    clock,
    look: () => diagnoseTable({ ...options, clock }),
  })
}
