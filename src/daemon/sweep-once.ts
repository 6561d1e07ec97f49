import { RedisBrake } from '../brake/redis-brake.ts'
import { queueOf } from '../config.ts'
import { createSettle } from '../order/settle.ts'
import { MissingChecks } from '../queue/missing-checks.ts'
import { openStore } from '../stores/kinds.ts'
import { sweep } from '../sweep/sweep.ts'
import type { SweepResult } from '../sweep/tally.ts'
import { chooseStore, createGuards, type Given, openConnection } from './parts.ts'

/**
 * One sweep by hand, with a brake and dry run as the settings say.
 *
 * @param options.dryRun change nothing, whatever the settings say
 */
export async function sweepOnce(
  options: Omit<Given, 'version'> & { redisUrl: string; dryRun: boolean; signal: AbortSignal },
): Promise<SweepResult> {
  const { config, redisUrl, dryRun, events, clock, signal } = options
  const queue = queueOf(config)
  const store = await openStore(chooseStore({ config, redisUrl }))
  const { redis } = openConnection(redisUrl)
  const missingChecks = new MissingChecks({ redis: redisUrl, queue, clock })
  try {
    const { guarded } = createGuards({
      settings: { ...config, DRY_RUN: dryRun || config.DRY_RUN },
      store,
      shared: new RedisBrake({ redis, queue }),
      remembered: Number.POSITIVE_INFINITY,
      events,
      clock,
    })
    return await sweep({
      store,
      settle: createSettle({ store: guarded, ping: () => store.ping(), clock }),
      addChecks: (orders) => missingChecks.add(orders, { dryRun }),
      aheadMs: config.SWEEP_AHEAD,
      pageSize: config.BATCH_SIZE,
      clock,
      signal,
    })
  } finally {
    await missingChecks.close()
    redis.disconnect()
    await store.close()
  }
}
