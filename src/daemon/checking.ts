import type { Brake } from '../brake/brake.ts'
import type { SharedBrake } from '../brake/shared-brake.ts'
import type { Config } from '../config.ts'
import type { OrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import type { Vitals } from '../observe/vitals.ts'
import type { Closings } from '../order/closings.ts'
import type { Check } from '../order/order.ts'
import { createSettle, type Settle, type Settlement } from '../order/settle.ts'
import type { OrderStore } from '../order/store.ts'
import type { Announcements } from '../outbox/announcements.ts'
import type { SweepNotes } from '../queue/sweep-notes.ts'
import type { WorkerService } from '../queue/worker/worker.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import { createRedisWatch, type RedisWatch } from '../redis/watch.ts'
import { Breaker } from '../runtime/breaker.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Heartbeat } from '../runtime/heartbeat.ts'
import { createPaidLateTeller } from '../sweep/paid-late-teller.ts'
import { createSetAsideTeller } from '../sweep/set-aside-teller.ts'
import { StandIn } from '../sweep/stand-in.ts'
import { sweep } from '../sweep/sweep.ts'
import { sweepDue } from '../sweep/sweep-due.ts'
import type { SweepOptions } from '../sweep/sweep-options.ts'
import { createSweeper, type Sweeper } from '../sweep/sweeper.ts'
import { createGuards, type GuardSettings } from './parts.ts'
import { closingIn } from './paying.ts'

/** Batches in a row that fail before the store is left alone. */
const BREAKER_THRESHOLD = 3

interface CheckingOptions {
  settings: GuardSettings & Pick<Config, 'BATCH_SIZE' | 'SWEEP_EVERY' | 'SWEEP_AHEAD' | 'IDLE_POLL_EVERY'>
  /** Open already, so that nothing here has to wait for it. */
  store: OrderStore
  sharedBrake: SharedBrake
  /** For the watch. */
  connection: Connection
  queue: NamedQueue
  addChecks: SweepOptions['addChecks']
  /** Told of what becomes of the orders of a sweep. */
  noteSwept?: SweepNotes['note']
  readSetAside: Vitals['readSetAside']
  /** Default: orders have no payments that are to be closed. */
  closings?: Closings | undefined
  /** Default: nobody is told of anything but cancellations. */
  announcements?: Announcements | undefined
  createWorker: (parts: {
    settle: Settle
    beforeGivingUp: Announcements['tellGivenUp']
    afterGivingUp: Announcements['endGivenUp']
    heartbeat: Heartbeat
    isRedisAway: () => boolean
  }) => WorkerService
  heartbeats: { worker: Heartbeat; sweeper: Heartbeat }
  /** Default {@link createSettle}. */
  settleWith?: typeof createSettle
  events: EventBus
  clock: Clock
  random?: () => number
}

export type Checking = ReturnType<typeof createChecking>

/** Puts together what decides on orders: the store behind its guards, the worker pool, the sweeper, the watch over Redis. */
export function createChecking(options: CheckingOptions) {
  const { settings, store, heartbeats, settleWith = createSettle, events, clock, random = Math.random } = options
  const breaker = new Breaker<OrderExpiryError>({
    threshold: BREAKER_THRESHOLD,
    probe: () => store.ping(),
    onOpen: (error) => events.emit('store-breaker-opened', { error }),
    onClose: () => events.emit('store-breaker-closed', {}),
    clock,
    random,
  })
  const { brake, guarded } = createGuards({ ...options, shared: options.sharedBrake })
  const settleFor = (by: 'worker' | 'sweep', heartbeat: Heartbeat) => {
    const decidedBy = by === 'sweep' ? 'sweep' : 'check'
    const cancelUnpaid = (checks: readonly Check[]) => guarded.cancelUnpaid(checks, { by: decidedBy })
    const settle = settleWith({
      store: { cancelUnpaid: options.closings?.guard(cancelUnpaid) ?? cancelUnpaid },
      ping: () => store.ping(),
      breaker,
      onStep: () => heartbeat.beat(),
      ...(by === 'sweep' && { onOrder: (order) => events.emit('order-swept', order) }), // checks tell of themselves
      onBatch: (batch) => events.emit('batch-settled', { by, ...batch }),
      clock,
      random,
    })
    return options.announcements?.tellingKept?.(settle, decidedBy) ?? settle
  }
  const settleSwept = settleFor('sweep', heartbeats.sweeper)
  /** The sweep goes on meanwhile. */
  const settleClosed = (checks: readonly Check[], settlements: readonly Settlement[]) => {
    const waiting = checks.filter((_, n) => closingIn(settlements[n]))
    if (waiting.length === 0) return
    void Promise.all(settlements.map(closingIn)).then(async () => {
      options.noteSwept?.(waiting, await settleSwept(waiting))
    })
  }
  const sweeping = {
    store,
    settle: async (checks: readonly Check[]) => {
      const settlements = await settleSwept(checks)
      options.noteSwept?.(checks, settlements)
      settleClosed(checks, settlements)
      return settlements
    },
    addChecks: options.addChecks,
    pageSize: settings.BATCH_SIZE,
    onStep: () => heartbeats.sweeper.beat(),
    clock,
    random,
  }
  const tellSetAside = createSetAsideTeller({ read: options.readSetAside, events, clock })
  const tellPaidLate = createPaidLateTeller({
    tell: settings.DRY_RUN ? undefined : store.tellPaidLate?.bind(store),
    everyMs: settings.SWEEP_EVERY,
    onStep: () => heartbeats.sweeper.beat(),
    events,
    clock,
  })
  const sweeper = createSweeper({
    sweep: (part) => sweep({ ...part, ...sweeping }),
    standIn: new StandIn({
      store,
      sweepDue: (part) => sweepDue({ ...sweeping, ...part, addChecks: async () => 0 }),
      clock,
      random,
    }),
    isRedisAway: () => watch.failure !== undefined,
    async onSwept() {
      await tellPaidLate()
      await tellSetAside()
    },
    everyMs: settings.SWEEP_EVERY,
    aheadMs: settings.SWEEP_AHEAD,
    heartbeat: heartbeats.sweeper,
    events,
    clock,
    random,
  })
  const watch = watchRedis({ ...options, brake, breaker, sweeper })
  const worker = options.createWorker({
    settle: settleFor('worker', heartbeats.worker),
    beforeGivingUp: options.announcements?.tellGivenUp,
    afterGivingUp: options.announcements?.endGivenUp,
    heartbeat: heartbeats.worker,
    isRedisAway: () => watch.failure !== undefined,
  })
  events.on('worker-error', () => watch.look())
  events.on('store-breaker-opened', () => worker.pause())
  events.on('store-breaker-closed', () => {
    worker.resume()
    sweeper.wake()
  })
  for (const event of ['brake-changed', 'brake-known'] as const) {
    events.on(event, ({ engaged }) => {
      if (!engaged) sweeper.wake()
    })
  }
  return { store, brake, breaker, watch, worker, sweeper }
}

/** What Redis may have lost, and what falls due while it is away, only a sweep finds. */
function watchRedis(
  options: CheckingOptions & { brake: Brake; breaker: Breaker<OrderExpiryError>; sweeper: Sweeper },
): RedisWatch {
  const { settings, connection, queue, heartbeats, events, clock, brake, breaker, sweeper } = options
  let wasAway = false
  const watch = createRedisWatch({
    connection,
    queue,
    everyMs: settings.IDLE_POLL_EVERY,
    onBack: () => sweeper.wake(),
    onFailure: (error) => events.emit('redis-error', { connection: 'watch', error }),
    onLost() {
      events.emit('redis-emptied', {})
      sweeper.wake()
    },
    onTick() {
      // Where Redis is away or the breaker is open, nothing is to be fetched.
      if (watch.failure || breaker.failure) heartbeats.worker.beat()
      const isAway = watch.failure !== undefined
      if (isAway && !wasAway) sweeper.standIn()
      wasAway = isAway
      void brake.refresh() // for the probes and metrics
    },
    clock,
  })
  return watch
}
