import { hostname } from 'node:os'
import { Brake } from '../brake/brake.ts'
import type { SharedBrake } from '../brake/shared-brake.ts'
import { redisBackend } from '../client/backend.ts'
import { OrderExpiry } from '../client/client.ts'
import { type OrderExpiryOptions, parseClientOptions } from '../client/options.ts'
import { type Config, queueOf, secretsOf } from '../config.ts'
import type { EventBus } from '../observe/events.ts'
import { createRedactor } from '../observe/redact.ts'
import { DryRun } from '../order/dry-run.ts'
import type { OrderStore } from '../order/store.ts'
import { chosenSinks } from '../outbox/sinks.ts'
import { REDIS_SETTINGS, type RedisAddress } from '../redis/address.ts'
import { Connection } from '../redis/connection.ts'
import { commandProfile } from '../redis/profiles.ts'
import type { Clock } from '../runtime/clock.ts'
import { formatDuration } from '../runtime/duration.ts'
import { KINDS, type StoreChoice } from '../stores/kinds.ts'

/** For single commands of the daemon. */
const REDIS_TIMEOUT_MS = 2_000
/** Batches of the worker in flight at once. Further connections: for orders left behind, for the sweeper, for the brake's question after payments. */
export const MAX_BATCHES = 4

/** What the daemon is made from. */
export interface Given {
  config: Config
  /** Of this package. */
  version: string
  events: EventBus
  clock: Clock
}

/** Who decides, for the evidence: `host:pid`. */
export function nameOfProcess(): string {
  return `${hostname()}:${process.pid}`
}

/** What takes the secrets of the settings out of a text. */
export function redactorOf(config: Config): (text: string) => string {
  return createRedactor({ secrets: secretsOf(config), longest: Number.POSITIVE_INFINITY }).text
}

/** A connection for single commands, each of which has a time-out. */
export function openConnection(redisAddress: RedisAddress, timeoutMs = REDIS_TIMEOUT_MS): Connection {
  return new Connection({ address: redisAddress, profile: commandProfile(redisAddress, timeoutMs) })
}

/** The order store that the settings ask for. @param options.events told of its errors and notices */
export function chooseStore(options: {
  config: Config
  redisAddress: RedisAddress
  access?: 'read' | undefined
  events?: EventBus
}): StoreChoice {
  const { config, redisAddress, access, events } = options
  return {
    kind: config.ORDER_STORE,
    settings: config,
    redisAddress,
    queue: queueOf(config),
    ...(access && { access }),
    connections: MAX_BATCHES + 3,
    areDelivered: chosenSinks(config).length > 0,
    watchesPayments: config.BRAKE_PAYMENT_SILENCE !== undefined,
    onError: (error) => events?.emit('store-error', { error }),
    onNotice: (notice) => events?.emit('store-notice', { notice }),
  }
}

/** Undefined: orders have no status. */
export function cancelledStatusOf(config: Config): string | undefined {
  return config.ORDERS_STATUS_COLUMN && config.ORDERS_CANCELLED_STATUS
}

/** The library, as a shop with these settings uses it; its errors name the settings. */
export function openClient(options: {
  config: Config
  redisAddress: RedisAddress
  telemetry?: OrderExpiryOptions['telemetry'] | undefined
}): OrderExpiry {
  const { config, redisAddress, telemetry } = options
  const { recordsAs } = KINDS[config.ORDER_STORE]
  const client = {
    redis: redisAddress,
    queueName: config.QUEUE_NAME,
    queuePrefix: config.QUEUE_PREFIX,
    paymentTimeout: formatDuration(config.PAYMENT_TIMEOUT),
    ...(recordsAs && { orders: recordsAs }),
    ...(telemetry && { telemetry }),
  }
  return new OrderExpiry(client, redisBackend(parseClientOptions(client), REDIS_SETTINGS))
}

export type GuardSettings = Pick<Config, 'DRY_RUN' | 'BRAKE_MAX_PER_MINUTE' | 'BRAKE_PAYMENT_SILENCE'>

/**
 * What stands in front of the store while orders are cancelled: the brake or, if the settings say so, a dry run.
 *
 * @param options.remembered orders that a dry run reports once only; default as many as {@link DryRun} says
 */
export function createGuards(options: {
  settings: GuardSettings
  store: OrderStore
  shared: SharedBrake
  remembered?: number
  events: EventBus
  clock: Clock
  random?: (() => number) | undefined
}): { brake: Brake; guarded: Pick<OrderStore, 'cancelUnpaid'> } {
  const { settings, store, shared, remembered, events, clock, random } = options
  const brake = new Brake({
    store,
    shared,
    maxPerMinute: settings.BRAKE_MAX_PER_MINUTE,
    paymentSilenceMs: settings.BRAKE_PAYMENT_SILENCE,
    by: nameOfProcess(),
    onChange: ({ engaged, reason, by, since }) =>
      events.emit('brake-changed', { engaged, ...(reason && { reason }), ...(by && { by }), ...(since && { since }) }),
    onUnknown: (error) => events.emit('brake-unknown', { error }),
    onKnown: ({ engaged }) => events.emit('brake-known', { engaged }),
    onHeld: (held) => events.emit('brake-held', held),
    clock,
    ...(random && { random }),
  })
  if (!settings.DRY_RUN) return { brake, guarded: brake }
  const dryRun = new DryRun({
    store,
    ...(remembered && { remembered }),
    onWouldCancel: (orderId, lateMs) => events.emit('would-cancel', { orderId, lateMs }),
    onFull: (orders) => events.emit('dry-run-full', { orders }),
  })
  return { brake, guarded: dryRun }
}
