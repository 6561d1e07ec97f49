import { RedisBrake } from '../brake/redis-brake.ts'
import type { OrderExpiry } from '../client/client.ts'
import { DATA_DIR, queueOf, redisAddressOf } from '../config.ts'
import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import { createHistoryWriter } from '../observe/history.ts'
import { MinuteCounts } from '../observe/minutes.ts'
import { LATE_AFTER_MS } from '../order/promise.ts'
import type { OrderStore } from '../order/store.ts'
import { chosenSinks } from '../outbox/sinks.ts'
import { reportClocks } from '../queue/clock-reports.ts'
import { ForeignJobs } from '../queue/foreign-jobs.ts'
import { MissingChecks } from '../queue/missing-checks.ts'
import { makePostponedDue } from '../queue/postponed-checks.ts'
import { createProcessReporter } from '../queue/process-reports.ts'
import { createRetention } from '../queue/retention.ts'
import { SweepNotes } from '../queue/sweep-notes.ts'
import { createWorkerService } from '../queue/worker/worker.ts'
import { describeRedisAddress, type RedisAddress } from '../redis/address.ts'
import type { Connection } from '../redis/connection.ts'
import { EmbeddedRedis } from '../redis/embedded.ts'
import type { NamedQueue } from '../redis/keys.ts'
import { checkSlots } from '../redis/slots.ts'
import { timeOf } from '../redis/time.ts'
import { retryUntilDone } from '../runtime/retry.ts'
import { Lifecycle, type Service } from '../runtime/service.ts'
import { openStore } from '../stores/kinds.ts'
import { startAnnouncing } from './announcing.ts'
import { type Checking, createChecking } from './checking.ts'
import { createClockWatch } from './clock-watch.ts'
import {
  cancelledStatusOf,
  chooseStore,
  type Given,
  MAX_BATCHES,
  nameOfProcess,
  openClient,
  openConnection,
  redactorOf,
} from './parts.ts'
import { openClosings } from './paying.ts'
import { createRelays } from './relays.ts'
import { openTracing } from './tracing.ts'
import { DaemonVitals } from './vitals.ts'
import { createWeb } from './web.ts'

export interface Daemon {
  /** Resolves when everything runs. Rejects with the first error, or the signal's reason; then call `stop`. */
  start(signal: AbortSignal): Promise<void>
  /** Stops what was started, in the opposite order, within the time. @returns what went wrong */
  stop(withinMs: number): Promise<OrderExpiryError[]>
}

/** The daemon: a frozen Config in, an ordered list of services out. The only place that knows every folder. */
export async function createDaemon(given: Given): Promise<Daemon> {
  const { config, events, clock } = given
  const queue = queueOf(config)
  const tracing = await openTracing(given)
  const embedded = redisAddressOf(config)
    ? undefined
    : new EmbeddedRedis({ dir: DATA_DIR, clock, onExit: (exit) => events.emit('embedded-redis-exited', exit) })
  const redisAddress = redisAddressOf(config) ?? (embedded?.url as string)
  const connection = openConnection(redisAddress)
  const probes = openConnection(redisAddress)
  const client = openClient({ config, redisAddress, telemetry: tracing?.telemetry })
  const missingChecks = new MissingChecks({ redis: redisAddress, queue, clock })
  const tellAs = (name: string) => (error: Error) => events.emit('redis-error', { connection: name, error })
  const by = nameOfProcess()
  const sweepNotes = new SweepNotes({ connection, queue, by, onError: tellAs('sweep-notes'), clock })
  const foreignJobs = new ForeignJobs({ connection, queue, onError: tellAs('foreign-jobs'), clock })
  const vitals = new DaemonVitals({
    ...given,
    connection,
    probes,
    queue,
    sinks: chosenSinks(config),
    dryRun: config.DRY_RUN,
    cancelledStatus: cancelledStatusOf(config),
    redact: redactorOf(config),
  })
  noteOutages(vitals, events)
  const opened = { connection, probes, client, missingChecks, sweepNotes, foreignJobs, vitals, tracing }
  const parts: Parts = { ...given, redisAddress, queue, ...opened }
  const web = createWeb(parts)

  // What answers the probes comes first and goes last; what takes in work comes last and goes first.
  const services = [
    web.http,
    ...(tracing ? [tracing.traces] : []),
    ...(embedded ? [embeddedService(embedded, events)] : []),
    redisService(parts),
    web.board,
    historyService(parts),
    createRetention({ connection, queue, events, clock }),
    sweepNotes,
    foreignJobs,
    processReporter(parts),
    storeService(parts),
    web.requests,
  ]
  const lifecycle = new Lifecycle({ services, clock })

  return {
    async start(signal) {
      const startedAt = clock.now()
      await lifecycle.start(signal)
      vitals.phase = 'running'
      events.emit('ready', { startedInMs: clock.now() - startedAt })
    },
    async stop(withinMs) {
      vitals.phase = 'stopping'
      const errors = await lifecycle.stop(withinMs)
      events.emit('stopped', { errors })
      return errors
    },
  }
}

/** What there is before anything is started. */
interface Parts extends Given {
  redisAddress: RedisAddress
  queue: NamedQueue
  /** For single commands. */
  connection: Connection
  /** For those who ask whether Redis answers: nobody's commands hold them up. */
  probes: Connection
  client: OrderExpiry
  missingChecks: MissingChecks
  sweepNotes: SweepNotes
  foreignJobs: ForeignJobs
  vitals: DaemonVitals
  tracing: Awaited<ReturnType<typeof openTracing>>
}

function embeddedService(embedded: EmbeddedRedis, events: EventBus): Service {
  return {
    name: 'embedded-redis',
    async start(signal) {
      await embedded.start({ signal })
      events.emit('service-started', { service: 'embedded-redis', detail: `at ${embedded.url}` })
    },
    stop: () => embedded.stop(),
  }
}

/** What is noticed by others than those who ask the vitals. */
function noteOutages({ uses }: DaemonVitals, events: EventBus): void {
  events.on('waiting-for', ({ service, error }) => {
    if (service in uses) uses[service as keyof typeof uses].note(error)
  })
  events.on('service-started', ({ service }) => {
    if (service in uses) uses[service as keyof typeof uses].note()
  })
  events.on('store-breaker-opened', ({ error }) => uses.store.note(error))
  events.on('redis-error', ({ connection, error }) => {
    if (connection === 'watch') uses.redis.note(error)
  })
}

/** Waits until Redis answers, and gives the connections back. */
function redisService(parts: Parts): Service {
  const { redisAddress, queue, connection, probes, client, missingChecks, vitals, events } = parts
  const attempt = async () => {
    await vitals.pingRedis()
    await checkSlots({ connection, keys: queue.keys })
  }
  return {
    name: 'redis',
    async start(signal) {
      await waitFor({ service: 'redis', attempt, signal, parts })
      events.emit('service-started', { service: 'redis', detail: describeRedisAddress(redisAddress) })
    },
    async stop() {
      await client.close()
      await missingChecks.close()
      connection.close()
      probes.close()
    },
  }
}

function historyService({ vitals, connection, events, clock }: Parts): Service {
  return createHistoryWriter({
    counts: new MinuteCounts({ events, clock }),
    history: vitals.history,
    connection,
    onError: (error) => events.emit('redis-error', { connection: 'history', error }),
    clock,
  })
}

function processReporter({ connection, queue, version, vitals, events, clock }: Parts): Service {
  const name = nameOfProcess()
  events.on('sweep-finished', ({ overdue, outcomes, error }) => {
    const { cancelled = 0 } = outcomes
    vitals.lastSweep = { by: name, at: clock.now(), overdue, cancelled, ...(error && { error: error.code }) }
  })
  return createProcessReporter({ connection, queue, name, version, lastSweep: () => vitals.lastSweep, clock })
}

/** Opens the order store, and hands over what decides on its orders. */
function storeService(parts: Parts): Service {
  const { config, vitals, events } = parts
  let closings: Awaited<ReturnType<typeof openClosings>>
  return {
    name: 'store',
    async start(signal) {
      vitals.isStoreTried = true
      const choice = chooseStore(parts)
      const store = await waitFor({ service: 'store', attempt: () => openStore(choice), signal, parts })
      const { announcements, announcers } = startAnnouncing({ ...parts, store })
      closings = await openClosings({ ...parts, announcements })
      const checking = createCheckingOf(store, { announcements, closings: closings?.closings }, parts)
      vitals.checking = checking
      await checking.brake.refresh() // before the first check: it would be held back while the state is not known
      events.emit('service-started', { service: 'store', detail: config.ORDER_STORE })
      const relays = store.deliveries ? await createRelays({ ...parts, outbox: store.deliveries }) : []
      return [clockWatch(parts, checking), checking.watch, ...relays, ...announcers, checking.worker, checking.sweeper]
    },
    async stop() {
      vitals.checking?.breaker.stop()
      await closings?.dispose()
      await vitals.checking?.store.close()
    },
  }
}

function clockWatch(parts: Parts, { store, breaker, watch }: Checking): Service {
  const { config, connection, queue, vitals, events, clock } = parts
  const { redis } = connection
  const source = { redis, keys: queue.keys }
  const by = nameOfProcess()
  return createClockWatch({
    clocks: vitals.clocks,
    everyMs: config.IDLE_POLL_EVERY,
    read: {
      redis: () => (watch.failure ? undefined : vitals.uses.redis.during(() => timeOf(redis))),
      store: () => (breaker.failure ? undefined : vitals.uses.store.during(() => store.ping())),
    },
    onRedisSetBack: (byMs) => makePostponedDue({ ...source, withinMs: byMs + LATE_AFTER_MS }),
    report: (offsets) => reportClocks(source, by, offsets),
    events,
    clock,
  })
}

type Beside = Pick<Parameters<typeof createChecking>[0], 'announcements' | 'closings'>

function createCheckingOf(store: OrderStore, beside: Beside, parts: Parts): Checking {
  const { config, redisAddress, connection, queue, missingChecks, sweepNotes, foreignJobs } = parts
  const { vitals, tracing, events } = parts
  return createChecking({
    ...parts,
    settings: config,
    store,
    ...beside,
    sharedBrake: new RedisBrake({ connection, queue }),
    addChecks: (orders) => missingChecks.add(orders, { dryRun: false }),
    noteSwept: (checks, settlements) => sweepNotes.note(checks, settlements),
    readSetAside: () => vitals.readSetAside(),
    createWorker: (given) =>
      createWorkerService({
        ...given,
        redis: redisAddress,
        queue,
        concurrency: config.CONCURRENCY,
        batchSize: config.BATCH_SIZE,
        maxBatches: MAX_BATCHES,
        claims: config.CLAIMS,
        maxAttempts: config.MAX_ATTEMPTS,
        paymentTimeoutMs: config.PAYMENT_TIMEOUT,
        decidedBy: nameOfProcess(),
        onFirstSeen: (job) => foreignJobs.note(job),
        ring: () => connection.redis.ping(),
        wakeAnother: () => connection.redis.zadd(queue.keys.marker, 0, '0'), // as BullMQ's scripts do
        longestSleepMs: config.IDLE_POLL_EVERY,
        telemetry: tracing?.telemetry,
        events,
        clock: vitals.clocks.redis,
      }),
    heartbeats: vitals.heartbeats,
  })
}

function waitFor<T>(wanted: {
  service: string
  attempt: () => Promise<T>
  signal: AbortSignal
  parts: Parts
}): Promise<T> {
  const { service, attempt, signal, parts } = wanted
  const { events, clock } = parts
  return retryUntilDone({
    attempt,
    isRetryable: (error) => asOrderExpiryError(error).retryable,
    onWait: (error, waitMs) => events.emit('waiting-for', { service, error: asOrderExpiryError(error), waitMs }),
    clock,
    signal,
  })
}
