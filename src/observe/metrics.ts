import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ErrorCode } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { errorCode } from './error-code.ts'
import type { EventBus } from './events.ts'

/** What the gauges read when they are scraped. */
export interface GaugeSources {
  /** 1 or 0; undefined as long as it is not known. */
  brakeEngaged: () => boolean | undefined
  storeBreakerOpen: () => boolean
  /** Orders that should have been cancelled; undefined until the order store was first tried. */
  readOverdue: () => Promise<{ orders: number; oldestSeconds: number }> | undefined
  dryRun: boolean
  version: string
  /** The queue as Redis has it now. Rejects while Redis is away. */
  readQueue: () => Promise<QueueFigures>
  /** Rejects while the order store is away; undefined until it was first tried: nothing is known of it. */
  pingStore: () => Promise<unknown> | undefined
  /** What waits in the outbox; undefined if the order store keeps none. Rejects if it cannot be read. */
  readOutbox: () => Promise<OutboxFigures> | undefined
  /** The loops, and for how many milliseconds each has been silent; empty while none is to go on. */
  loops: () => readonly { name: string; ageMs: number }[]
}

/** What the queue says of itself. */
export interface QueueFigures {
  /** Jobs by BullMQ's state. */
  jobs: Readonly<Record<string, number>>
  isPaused: boolean
  /** Checks to come, by how soon, such as `5m`. */
  upcoming: Readonly<Record<string, number>>
}

/** What waits in the outbox. */
export interface OutboxFigures {
  events: number
  /** Of the oldest; undefined if there is none. */
  oldestAgeMs: number | undefined
}

/** A part that has not answered by then is down, as far as this scrape goes. */
const READ_WITHIN_MS = 2_000
/** Seconds. The promise is one second, the aim some milliseconds. */
const LATENESS_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300]
const BATCH_BUCKETS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000]
const DECISIONS = ['cancelled', 'kept', 'missing'] as const
/** Why a check is given up most often. */
const GIVEN_UP: readonly ErrorCode[] = ['INVALID_JOB', 'UNKNOWN_JOB', 'STORE_REJECTED', 'STORE_MISMATCH', 'UNEXPECTED']
/** How finely the event loop is watched: each look costs as much as a wake-up. */
const LAG_PRECISION_MS = 50

/** All metrics, by their names. Counters follow the events, gauges are read at the scrape. */
export function createMetrics(options: { events: EventBus; sources: GaugeSources; clock: Clock }): Registry {
  const { events, sources, clock } = options
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `order_expiry_${name}`, help, labelNames, registers })
  const gauge = (name: string, help: string, read: () => number | boolean | undefined) =>
    new Gauge({
      name: `order_expiry_${name}`,
      help,
      registers,
      collect() {
        const value = read()
        if (value === undefined)
          this.remove() // reset() would say 0
        else this.set(Number(value))
      },
    })

  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `order_expiry_${name}`, help, buckets, registers })

  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS })
  // Gauges by the name of counters.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`)
  const checkLateness = histogram(
    'check_lateness_seconds',
    'From the payment deadline to the begin of the check that decided.',
    LATENESS_BUCKETS,
  )
  const settleLateness = histogram(
    'settle_lateness_seconds',
    "From the payment deadline to the decision of a check, by the order store's clock; a sweep's are not in it.",
    LATENESS_BUCKETS,
  )
  const batchSize = histogram('batch_size_checks', 'Checks that were settled in one statement.', BATCH_BUCKETS)
  const early = counter('checks_early_total', 'Checks that came before the deadline that the order store knows.')
  const redisErrors = counter('redis_errors_total', 'Errors of connections to Redis, by connection and error.', [
    'connection',
    'code',
  ])
  const requests = counter('http_requests_total', 'Requests that were answered, by route and status.', [
    'method',
    'route',
    'status',
  ])
  readAtScrape({ registry, sources, clock })

  const decisions = counter('decisions_total', 'Decisions on orders, by outcome, by checks and sweeps.', ['outcome'])
  const givenUp = counter('checks_given_up_total', 'Checks that were given up and are in the failed set, by error.', [
    'code',
  ])
  const sweeps = counter('sweeps_total', 'Sweeps over the order store, by result.', ['result'])
  const rescued = counter('sweep_rescued_total', 'Overdue orders that a sweep cancelled, because no check had.')
  const unsettled = counter('sweep_failed_total', 'Times that a sweep could not settle an overdue order.')
  const added = counter('sweep_checks_added_total', 'Orders without a check to which a sweep gave one.')
  const failures = counter(
    'store_failures_total',
    'Failures of the order store, by error: of batches, of checks and sweeps, and of connections.',
    ['code'],
  )
  const held = counter('brake_held_total', 'Times that the brake has held an order back, by why.', ['reason'])
  const emptied = counter('redis_emptied_total', 'Times that Redis was seen to have lost its data.')
  // A series that begins with its first event shows no increase by it.
  for (const outcome of DECISIONS) decisions.inc({ outcome }, 0)
  for (const code of GIVEN_UP) givenUp.inc({ code }, 0)
  gauge('brake_engaged', '1 while the mass-cancel brake holds back all cancellations.', sources.brakeEngaged)
  gauge(
    'store_breaker_open',
    '1 while the order store does not work and no checks are taken.',
    sources.storeBreakerOpen,
  )
  gauge('dry_run', '1 while nothing is cancelled because DRY_RUN is set.', () => sources.dryRun)

  events.on('check-finished', ({ outcome, lateMs, begunLateMs }) => {
    decisions.inc({ outcome })
    if (lateMs !== undefined) settleLateness.observe(Math.max(0, lateMs) / 1_000)
    if (begunLateMs !== undefined) checkLateness.observe(Math.max(0, begunLateMs) / 1_000)
  })
  events.on('check-postponed', ({ why }) => why === 'not-due' && early.inc())
  events.on('redis-error', ({ connection, error }) => redisErrors.inc({ connection, code: errorCode(error) }))
  events.on('worker-error', ({ error }) => redisErrors.inc({ connection: 'worker', code: errorCode(error) }))
  events.on('request-finished', ({ method, route, status }) => requests.inc({ method, route, status }))
  events.on('would-cancel', () => decisions.inc({ outcome: 'would-cancel' }))
  events.on('check-given-up', ({ error }) => givenUp.inc({ code: error.code }))
  events.on('batch-settled', ({ by, checks, outcomes, error }) => {
    batchSize.observe(checks)
    if (error) failures.inc({ code: error.code })
    if (by === 'worker') return // its checks tell of themselves
    rescued.inc(outcomes.cancelled ?? 0)
    unsettled.inc(outcomes.failed ?? 0)
    for (const outcome of DECISIONS) decisions.inc({ outcome }, outcomes[outcome] ?? 0)
  })
  events.on('store-error', ({ error }) => failures.inc({ code: errorCode(error) }))
  events.on('sweep-finished', ({ added: count, handedOver = 0, error }) => {
    sweeps.inc({ result: error ? 'ended-early' : 'complete' })
    added.inc(count + handedOver)
  })
  events.on('brake-held', ({ orders, reason }) => held.inc({ reason }, orders))
  events.on('redis-emptied', () => emptied.inc())
  return registry
}

/** Gauges of what others know. A part that does not answer has no figures, and its `_up` is 0: silence says nothing. */
function readAtScrape(options: { registry: Registry; sources: GaugeSources; clock: Clock }): void {
  const { registry, sources, clock } = options
  const registers = [registry]
  const bounded = <T>(work: Promise<T>): Promise<T | undefined> =>
    withTimeout({ work, ms: READ_WITHIN_MS, clock, onTimeout: () => new Error('too late') }).catch(() => undefined)

  /** All gauges of one scrape are collected at once, and share what was read. */
  const shared = <T>(read: () => Promise<T | undefined>) => {
    let reading: Promise<T | undefined> | undefined
    return () => {
      reading ??= read().finally(() => {
        reading = undefined
      })
      return reading
    }
  }
  const readQueue = shared(() => bounded(sources.readQueue()))
  /** Undefined: there is no such part. */
  const partOf = <Figures>(read: () => Promise<Figures> | undefined) =>
    shared(async () => {
      const work = read()
      return work && { figures: await bounded(work) }
    })
  const readOutbox = partOf(sources.readOutbox)
  const readOverdue = partOf(sources.readOverdue)

  new Gauge({
    name: 'order_expiry_queue_up',
    help: '1 if Redis has answered this scrape; if 0, the other figures of the queue are missing.',
    registers,
    async collect() {
      this.set((await readQueue()) ? 1 : 0)
    },
  })
  new Gauge({
    name: 'order_expiry_jobs',
    help: 'Jobs of the queue, by state.',
    labelNames: ['state'],
    registers,
    async collect() {
      const { jobs = {} } = (await readQueue()) ?? {}
      this.reset()
      for (const [state, count] of Object.entries(jobs)) this.set({ state }, count)
    },
  })
  new Gauge({
    name: 'order_expiry_upcoming_checks',
    help: 'Checks that fall due within so long from now.',
    labelNames: ['within'],
    registers,
    async collect() {
      const { upcoming = {} } = (await readQueue()) ?? {}
      this.reset()
      for (const [within, count] of Object.entries(upcoming)) this.set({ within }, count)
    },
  })
  new Gauge({
    name: 'order_expiry_queue_paused',
    help: '1 while the queue is paused, so that nothing is checked.',
    registers,
    async collect() {
      const figures = await readQueue()
      if (figures) this.set(Number(figures.isPaused))
      else this.remove()
    },
  })
  new Gauge({
    name: 'order_expiry_store_up',
    help: '1 if the order store has answered this scrape; nothing until it was first tried.',
    registers,
    async collect() {
      const work = sources.pingStore()
      if (work) this.set((await bounded(work.then(() => true))) ? 1 : 0)
      else this.remove()
    },
  })
  /** Of a part that may not be there at all: then, or where `read` has nothing to say, there is no sample. */
  const partGauge = <Figures>(
    part: () => Promise<{ figures: Figures | undefined } | undefined>,
    name: string,
    help: string,
    read: (figures: Figures | undefined) => number | undefined,
  ) =>
    new Gauge({
      name: `order_expiry_${name}`,
      help,
      registers,
      async collect() {
        const found = await part()
        const value = found && read(found.figures)
        if (value === undefined) this.remove()
        else this.set(value)
      },
    })
  const isThere = (figures: unknown) => Number(figures !== undefined)
  partGauge(
    readOverdue,
    'overdue_up',
    '1 if the order store has told at this scrape, or shortly before, what is overdue.',
    isThere,
  )
  partGauge(
    readOverdue,
    'overdue_orders',
    'Unpaid orders more than 10 s past their deadline, counted up to 10,000.',
    (figures) => figures?.orders,
  )
  partGauge(
    readOverdue,
    'oldest_overdue_seconds',
    'How long ago the oldest of these orders was due; 0 if there is none.',
    (figures) => figures?.oldestSeconds,
  )
  partGauge(
    readOutbox,
    'outbox_up',
    '1 if the outbox could be read at this scrape; there is none with ORDER_STORE=redis.',
    isThere,
  )
  partGauge(
    readOutbox,
    'outbox_events',
    'Events in the outbox that nobody has taken, counted up to 10,000.',
    (figures) => figures?.events,
  )
  partGauge(
    readOutbox,
    'outbox_oldest_seconds',
    'How long the oldest of these events has waited; 0 if there is none.',
    (figures) => figures && (figures.oldestAgeMs ?? 0) / 1_000,
  )
  new Gauge({
    name: 'order_expiry_loop_silent_seconds',
    help: 'How long ago each loop last went on.',
    labelNames: ['loop'],
    registers,
    collect() {
      this.reset()
      for (const { name, ageMs } of sources.loops()) this.set({ loop: name }, ageMs / 1_000)
    },
  })
  new Gauge({
    name: 'order_expiry_build_info',
    help: 'Always 1; its labels say what runs.',
    labelNames: ['version'],
    registers,
  }).set({ version: sources.version }, 1)
}
