import { examine, type Finding } from '../../src/doctor/finding.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { diagnosePostgres as look } from '../../src/stores/postgres/diagnosis/diagnosis.ts'
import type { PostgresStoreOptions } from '../../src/stores/postgres/settings.ts'

/** What doctor says of an orders table, without the settings that lead to it. */
export function diagnosePostgres(options: PostgresStoreOptions, clock: Clock = systemClock): Promise<Finding[]> {
  return examine({ code: 'store-reachable', withinMs: 10_000, clock, look: () => look(options, clock) })
}
