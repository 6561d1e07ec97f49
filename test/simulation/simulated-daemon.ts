import { Brake } from '../../src/brake/brake.ts'
import { OrderExpiryError } from '../../src/errors.ts'
import { EventBus } from '../../src/observe/events.ts'
import { decide } from '../../src/order/decide.ts'
import { DryRun } from '../../src/order/dry-run.ts'
import { createSettle, type Settle } from '../../src/order/settle.ts'
import type { OrderStore } from '../../src/order/store.ts'
import type { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { createRedisWatch } from '../../src/redis/watch.ts'
import { Breaker } from '../../src/runtime/breaker.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { sweep } from '../../src/sweep/sweep.ts'
import { createSweeper, type Sweeper } from '../../src/sweep/sweeper.ts'
import type { FakeBrake } from './fake-brake.ts'
import type { FakeQueue } from './fake-queue.ts'
import type { FakeStore } from './fake-store.ts'
import { FakeWorker, type FinishedJob } from './fake-worker.ts'
import type { Host } from './host.ts'

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
  decide?: typeof decide
  /** The store as the sweep sees it. */
  swept?: (store: OrderStore) => OrderStore
  probe?: () => Promise<unknown>
}

export interface Servers {
  store: FakeStore
  queue: FakeQueue
  brake: FakeBrake
}

/** What `daemon.ts` puts together, with fakes in the place of the servers and of BullMQ; everything else is the real thing. */
export class SimulatedDaemon {
  readonly host: Host
  readonly breaker: Breaker<OrderExpiryError>
  readonly sweeper: Sweeper
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
    const { random } = host
    const store = servers.store.connect(host)
    const events = new EventBus()
    events.on('sweep-finished', ({ overdue, outcomes, added, error }) =>
      host.note(
        `sweep: ${overdue} overdue ${JSON.stringify(outcomes)}, ${added} added${error ? `, ${error.code}` : ''}`,
      ),
    )
    this.host = host
    this.heartbeat = new Heartbeat({ name: 'sweeper', clock: host })

    this.breaker = new Breaker<OrderExpiryError>({
      threshold: 3,
      probe: doubles.probe ?? (() => store.ping()),
      onOpen: ({ code }) => {
        host.note(`breaker opens: ${code}`)
        worker.isHeld = true
      },
      onClose: () => {
        host.note('breaker closes')
        worker.isHeld = false
        this.sweeper.wake()
      },
      clock: host,
      random,
    })
    const brake = new Brake({
      store,
      shared: servers.brake.connect(host),
      maxPerMinute: settings.maxPerMinute,
      paymentSilenceMs: settings.paymentSilenceMs,
      by: host.name,
      onChange: () => {},
      onHeld: ({ orders }) => host.note(`brake holds ${orders}`),
      clock: host,
      random,
    })
    const dryRun = new DryRun({ store, onWouldCancel: () => {}, onFull: () => {} })
    const real = createSettle({ store: host.isDryRun ? dryRun : brake, breaker: this.breaker, clock: host, random })
    const settle = doubles.settle?.(real) ?? real
    const { batchSize, maxBatches } = settings
    const worker = new FakeWorker({
      host,
      queue,
      settle,
      decide: doubles.decide ?? decide,
      concurrency: 8,
      batchSize,
      maxBatches,
      onFinished,
    })
    this.sweeper = createSweeper({
      sweep: (part) =>
        sweep({
          ...part,
          store: doubles.swept?.(store) ?? store,
          settle,
          addChecks: (orders) => queue.addMissing(host, orders),
          pageSize: batchSize,
          onStep: () => this.heartbeat.beat(),
          clock: host,
          random,
        }),
      everyMs: settings.sweepEveryMs,
      aheadMs: 600_000,
      heartbeat: this.heartbeat,
      events,
      clock: host,
      random,
    })
    const watch = createRedisWatch({
      connection: asConnection(queue),
      queue: namedQueue({ name: 'check-payment' }),
      onBack: () => this.sweeper.wake(),
      onFailure: () => {},
      onLost: () => this.sweeper.wake(),
      onTick: () => void brake.refresh(),
      clock: host,
    })
    const never = new AbortController().signal
    void watch.start(never)
    void worker.run()
    void this.sweeper.start(never)
  }
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
      on: () => {},
      off: () => {},
    },
  } as unknown as Connection
}
