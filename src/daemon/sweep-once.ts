import type { Brake } from '../brake/brake.ts'
import { createSettle } from '../order/settle.ts'
import { openStore } from '../stores/kinds.ts'
import { sweep } from '../sweep/sweep.ts'
import type { SweepResult } from '../sweep/tally.ts'
import { chooseStore, createGuards, type Given, openBrake, openConnection, openMissingChecks } from './parts.ts'

/**
 * One sweep by hand, with a brake and dry run as the settings say.
 *
 * @param options.dryRun change nothing, whatever the settings say
 * @returns also the brake, as it was last read
 */
export async function sweepOnce(
  options: Omit<Given, 'version'> & { redisUrl: string; dryRun: boolean; signal: AbortSignal },
): Promise<SweepResult & { brake: Brake }> {
  const { config, redisUrl, dryRun, events, clock, signal } = options
  const store = await openStore(chooseStore({ config, redisUrl }))
  const connection = openConnection(redisUrl)
  const missingChecks = openMissingChecks(options)
  try {
    const { brake, guarded } = createGuards({
      settings: { ...config, DRY_RUN: dryRun || config.DRY_RUN },
      store,
      shared: openBrake(config, connection),
      remembered: Number.POSITIVE_INFINITY,
      events,
      clock,
    })
    await brake.refresh() // a dry run does not ask for it
    const swept = await sweep({
      store,
      settle: createSettle({ store: guarded, ping: () => store.ping(), clock }),
      addChecks: (orders) => missingChecks.add(orders, { dryRun }),
      aheadMs: config.SWEEP_AHEAD,
      pageSize: config.BATCH_SIZE,
      clock,
      signal,
    })
    return { ...swept, brake }
  } finally {
    await missingChecks.close()
    connection.close()
    await store.close()
  }
}
