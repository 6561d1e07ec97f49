import { hostname } from 'node:os'
import { Brake } from '../brake/brake.ts'
import { RedisBrake } from '../brake/redis-brake.ts'
import { type Config, queueOf } from '../config.ts'
import type { EventBus } from '../observe/events.ts'
import { DryRun } from '../order/dry-run.ts'
import { createSettle } from '../order/settle.ts'
import type { OrderStore } from '../order/store.ts'
import { MissingChecks } from '../queue/missing-checks.ts'
import { Connection, openRedis } from '../redis/connection.ts'
import { commandProfile } from '../redis/profiles.ts'
import type { Clock } from '../runtime/clock.ts'
import { openStore, type StoreChoice } from '../stores/kinds.ts'
import { type SweepResult, sweep } from '../sweep/sweep.ts'

/** For single commands of the daemon. */
export const REDIS_TIMEOUT_MS = 2_000
const STORE_TIMEOUT_MS = 5_000
/** Batches of the worker in flight at once. One more connection serves the sweeper, and one the probes. */
export const MAX_BATCHES = 4

/** The order store that the settings ask for. */
export function chooseStore(options: {
  config: Config
  redisUrl: string
  onError: (error: Error) => void
  onNotice?: (notice: string) => void
}): StoreChoice {
  const { config, redisUrl, onError, onNotice } = options
  switch (config.ORDER_STORE) {
    case 'redis':
      return {
        kind: 'redis',
        connect: () => openRedis({ profile: commandProfile(redisUrl, STORE_TIMEOUT_MS), onError }),
        queue: queueOf(config),
      }
    case 'postgres':
      return {
        kind: 'postgres',
        url: config.DATABASE_URL as string, // readConfig insists on it
        mapping: {
          table: config.ORDERS_TABLE,
          idColumn: config.ORDERS_ID_COLUMN,
          statusColumn: config.ORDERS_STATUS_COLUMN,
          deadlineColumn: config.ORDERS_DEADLINE_COLUMN,
          paidAtColumn: config.ORDERS_PAID_AT_COLUMN,
          cancelledAtColumn: config.ORDERS_CANCELLED_AT_COLUMN,
          unpaidStatuses: config.ORDERS_UNPAID_STATUSES,
          cancelledStatus: config.ORDERS_CANCELLED_STATUS,
        },
        cancelSql: config.cancelSql,
        watchesPayments: config.BRAKE_PAYMENT_SILENCE !== undefined,
        connections: MAX_BATCHES + 2,
        onError,
        onNotice,
      }
  }
}

/**
 * One sweep by hand, with a brake and dry run as the settings say.
 *
 * @param options.dryRun change nothing, whatever the settings say
 */
export async function sweepOnce(options: {
  config: Config
  redisUrl: string
  dryRun: boolean
  events: EventBus
  clock: Clock
  signal: AbortSignal
}): Promise<SweepResult> {
  const { config, redisUrl, dryRun, events, clock, signal } = options
  const queue = queueOf(config)
  const store = await openStore(chooseStore({ config, redisUrl, onError: () => {} }))
  const { redis } = new Connection({ address: redisUrl, profile: commandProfile(redisUrl, REDIS_TIMEOUT_MS) })
  const missingChecks = new MissingChecks({ redis: redisUrl, queue, clock })
  try {
    const brake = createBrake({ config, store, redis, events, clock })
    return await sweep({
      store,
      settle: createSettle({
        store: dryRun || config.DRY_RUN ? createDryRun(store, events, Number.POSITIVE_INFINITY) : brake,
        ping: () => store.ping(),
        clock,
      }),
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

/** What stands in front of the store while orders are cancelled. */
export function createBrake(options: {
  config: Config
  store: OrderStore
  redis: Connection['redis']
  events: EventBus
  clock: Clock
}): Brake {
  const { config, store, redis, events, clock } = options
  return new Brake({
    store,
    shared: new RedisBrake({ redis, queue: queueOf(config) }),
    maxPerMinute: config.BRAKE_MAX_PER_MINUTE,
    paymentSilenceMs: config.BRAKE_PAYMENT_SILENCE,
    by: nameOfProcess(),
    onChange: ({ engaged, reason, by }) =>
      events.emit('brake-changed', { engaged, ...(reason && { reason }), ...(by && { by }) }),
    onHeld: (held) => events.emit('brake-held', held),
    clock,
  })
}

/** Who decides, for the evidence: `host:pid`. */
export function nameOfProcess(): string {
  return `${hostname()}:${process.pid}`
}

/** @param remembered orders that are reported once only; default as many as the dry run says */
export function createDryRun(store: OrderStore, events: EventBus, remembered?: number): DryRun {
  return new DryRun({
    store,
    ...(remembered && { remembered }),
    onWouldCancel: (orderId) => events.emit('would-cancel', { orderId }),
    onFull: (orders) => events.emit('dry-run-full', { orders }),
  })
}
