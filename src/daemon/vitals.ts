import type { BrakeStatus } from '../brake/shared-brake.ts'
import { OrderExpiryError } from '../errors.ts'
import type { ExplainSources } from '../explain/story.ts'
import type { ClockOffsets } from '../observe/clock-offsets.ts'
import { History } from '../observe/history.ts'
import { OutageWatch } from '../observe/outage.ts'
import type { Vitals } from '../observe/vitals.ts'
import { NOTHING_SET_ASIDE } from '../order/set-aside.ts'
import type { OrderStore, SetAside } from '../order/store.ts'
import { QueueView } from '../queue/view/queue-view.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import { Heartbeat } from '../runtime/heartbeat.ts'
import { RemoteClock } from '../runtime/remote-clock.ts'
import { SeldomRead } from '../runtime/seldom-read.ts'
import { Overdue } from '../sweep/overdue.ts'
import type { Checking } from './checking.ts'

const HISTORY_MINUTES = 60
const SET_ASIDE_FRESH_FOR_MS = 30_000

export class DaemonVitals implements Vitals, ExplainSources {
  readonly version: string
  readonly sinks: readonly string[]
  readonly dryRun: boolean
  readonly cancelledStatus: string | undefined
  readonly clock: Clock
  readonly heartbeats: { worker: Heartbeat; sweeper: Heartbeat }
  /** Those of Redis and the order store. */
  readonly clocks: Readonly<Record<keyof ClockOffsets, RemoteClock>>
  /** They are told by whoever uses Redis and the order store. */
  readonly uses: Readonly<Record<keyof Vitals['outages'], OutageWatch>>
  readonly view: QueueView
  readonly history: History
  phase: Vitals['phase'] = 'starting'
  isStoreTried = false
  lastSweep: Vitals['lastSweep']
  /** Once the order store is open. */
  checking: Checking | undefined
  readonly #probes: Connection
  readonly #overdue: Overdue
  readonly #setAside: SeldomRead<SetAside>

  /** @param options.connection whose commands time out, as do those of `probes` */
  constructor(options: {
    connection: Connection
    probes: Connection
    queue: NamedQueue
    version: string
    sinks?: readonly string[]
    dryRun: boolean
    cancelledStatus: string | undefined
    redact?: (text: string) => string
    clock: Clock
  }) {
    const { connection, queue, redact, version, sinks = [], dryRun, cancelledStatus, clock } = options
    this.version = version
    this.sinks = sinks
    this.dryRun = dryRun
    this.cancelledStatus = cancelledStatus
    this.clock = clock
    this.#probes = options.probes
    this.heartbeats = {
      worker: new Heartbeat({ name: 'worker', clock }),
      sweeper: new Heartbeat({ name: 'sweeper', clock }),
    }
    this.clocks = { redis: new RemoteClock({ clock }), store: new RemoteClock({ clock }) }
    this.uses = { redis: new OutageWatch({ clock }), store: new OutageWatch({ clock }) }
    this.view = new QueueView({ connection, queue, ...(redact && { redact }) })
    this.history = new History({ redis: connection.redis, queue })
    this.#setAside = new SeldomRead({
      look: async () => (await this.store.setAside?.()) ?? NOTHING_SET_ASIDE,
      freshForMs: SET_ASIDE_FRESH_FOR_MS,
      clock,
    })
    this.#overdue = new Overdue({ store: () => this.store, clock })
  }

  /** @throws {OrderExpiryError} STORE_UNAVAILABLE before it has been opened */
  get store(): OrderStore {
    if (!this.checking) throw new OrderExpiryError('STORE_UNAVAILABLE', 'not opened yet')
    return this.checking.store
  }

  /** The last state that was known, while it counts. */
  get brake(): BrakeStatus | undefined {
    return this.checking?.brake.known
  }

  get brakeFailure(): OrderExpiryError | undefined {
    return this.checking?.brake.unknown
  }

  get isBreakerOpen(): boolean {
    return this.checking?.breaker.failure !== undefined
  }

  /** Whether Redis takes no writes, as far as the watch over it knows. */
  get redisFailure(): OrderExpiryError | undefined {
    return this.phase === 'running' ? this.checking?.watch.failure : undefined
  }

  get outages(): Vitals['outages'] {
    return { redis: this.uses.redis.outage, store: this.uses.store.outage }
  }

  get workerFailure(): OrderExpiryError | undefined {
    return this.checking?.worker.failure
  }

  get areClaimsWrapped(): boolean | undefined {
    return this.checking?.worker.isWrapped
  }

  get clockOffsets(): ClockOffsets {
    return { redis: this.clocks.redis.offsetMs, store: this.clocks.store.offsetMs }
  }

  loops(): readonly Heartbeat[] {
    return this.phase === 'running' ? Object.values(this.heartbeats) : []
  }

  /** Resolves if Redis answers and, as far as is known, takes writes. */
  pingRedis(): Promise<void> {
    return this.uses.redis.during(async () => {
      await this.#probes.ask(async () => {
        await this.#probes.selectDatabase()
        await this.#probes.redis.ping()
      })
      if (this.redisFailure) throw this.redisFailure
    })
  }

  /** Resolves if the order store works. */
  async pingStore(): Promise<void> {
    const { store } = this // before it is opened that is no outage
    await this.uses.store.during(async () => {
      await store.ping()
      if (this.checking?.breaker.failure) throw this.checking.breaker.failure
    })
  }

  readOverdue(): ReturnType<Vitals['readOverdue']> {
    return this.#overdue.read()
  }

  readSetAside(): ReturnType<Vitals['readSetAside']> {
    return this.checking?.store.setAside && this.#setAside.read().then(({ value }) => value)
  }

  readOutbox(): ReturnType<Vitals['readOutbox']> {
    return this.checking?.store.outbox?.()
  }

  readHistory(): ReturnType<Vitals['readHistory']> {
    return this.history.read({ now: this.clock.now(), minutes: HISTORY_MINUTES })
  }
}
