import { type Checking, createChecking } from '../../src/daemon/checking.ts'
import { OrderExpiryError } from '../../src/errors.ts'
import { EventBus } from '../../src/observe/events.ts'
import { nextStep } from '../../src/order/next-step.ts'
import { createSettle, type Settle } from '../../src/order/settle.ts'
import type { OrderStore } from '../../src/order/store.ts'
import type { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import type { FakeBrake } from './fake-brake.ts'
import type { FinishedJob } from './fake-claims.ts'
import type { FakeQueue } from './fake-queue.ts'
import { FakeWorker } from './fake-worker.ts'
import type { Host } from './host.ts'
import type { SimulatedStore } from './simulated-store.ts'

export interface Settings {
  maxPerMinute: number | undefined
  paymentSilenceMs: number | undefined
  sweepEveryMs: number
  batchSize: number
  maxBatches: number
}

/** Parts of the daemon that a test replaces by broken ones. */
export interface Doubles {
  settle?: (settle: Settle) => Settle
  nextStep?: typeof nextStep
  /** The store as the sweep sees it. */
  swept?: (store: OrderStore) => OrderStore
  ping?: OrderStore['ping']
}

export interface Servers {
  store: SimulatedStore
  queue: FakeQueue
  brake: FakeBrake
}

/** One life of a daemon: the real {@link createChecking}, with fakes in the place of the servers and of BullMQ. */
export class SimulatedDaemon {
  readonly host: Host
  readonly breaker: Checking['breaker']
  readonly sweeper: Checking['sweeper']
  readonly heartbeat: Heartbeat

  constructor(options: {
    host: Host
    servers: Servers
    settings: Settings
    doubles: Doubles
    onFinished: (finished: FinishedJob) => void
  }) {
    const { host, servers, settings, doubles, onFinished } = options
    const { queue } = servers
    const events = new EventBus()
    noteEvents(events, host)
    const heartbeats = {
      worker: new Heartbeat({ name: 'worker', clock: host }),
      sweeper: new Heartbeat({ name: 'sweeper', clock: host }),
    }
    const store = servers.store.connect(host)
    const { breaker, watch, worker, sweeper } = createChecking({
      settings: {
        DRY_RUN: host.isDryRun,
        BRAKE_MAX_PER_MINUTE: settings.maxPerMinute,
        BRAKE_PAYMENT_SILENCE: settings.paymentSilenceMs,
        BATCH_SIZE: settings.batchSize,
        SWEEP_EVERY: settings.sweepEveryMs,
        SWEEP_AHEAD: 600_000,
        IDLE_POLL_EVERY: 5_000,
      },
      store: { ...(doubles.swept?.(store) ?? store), ...(doubles.ping && { ping: doubles.ping }) },
      sharedBrake: servers.brake.connect(host),
      connection: asConnection(queue),
      queue: namedQueue({ name: 'check-payment' }),
      readSetAside: () => undefined,
      addChecks: (orders) => queue.addMissing(host, orders),
      createWorker: ({ settle }) =>
        new FakeWorker({
          host,
          queue,
          settle,
          nextStep: doubles.nextStep ?? nextStep,
          concurrency: 8,
          batchSize: settings.batchSize,
          maxBatches: settings.maxBatches,
          onFinished,
        }),
      heartbeats,
      settleWith: (parts) => doubles.settle?.(createSettle(parts)) ?? createSettle(parts),
      events,
      clock: host,
      random: host.random,
    })
    this.host = host
    this.breaker = breaker
    this.sweeper = sweeper
    this.heartbeat = heartbeats.sweeper
    const never = new AbortController().signal
    for (const service of [watch, worker, sweeper]) void service.start(never)
  }
}

function noteEvents(events: EventBus, host: Host): void {
  events.on('sweep-finished', ({ overdue, outcomes, added, error }) =>
    host.note(`sweep: ${overdue} overdue ${JSON.stringify(outcomes)}, ${added} added${error ? `, ${error.code}` : ''}`),
  )
  events.on('store-breaker-opened', ({ error }) => host.note(`breaker opens: ${error.code}`))
  events.on('store-breaker-closed', () => host.note('breaker closes'))
  events.on('brake-held', ({ orders }) => host.note(`brake holds ${orders}`))
}

/** As much of a connection to Redis as the watch uses. */
function asConnection(queue: FakeQueue): Connection {
  const unlessAway = async <T>(effect: () => T): Promise<T> => {
    if (queue.isAway) throw new OrderExpiryError('REDIS_UNAVAILABLE', 'an outage of the simulation')
    return effect()
  }
  return {
    selectDatabase: async () => {},
    explain: (error: unknown) => error,
    redis: {
      ping: () => unlessAway(() => 'PONG'),
      set: () => unlessAway(() => queue.plantCanary()),
      on: queue.connections.on.bind(queue.connections),
      off: queue.connections.off.bind(queue.connections),
    },
  } as unknown as Connection
}
