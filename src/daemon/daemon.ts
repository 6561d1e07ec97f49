import type { Brake } from '../brake/brake.ts'
import { OrderExpiry } from '../client/client.ts'
import { type Config, DATA_DIR, isLoopback, queueOf } from '../config.ts'
import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import { explainOrder } from '../explain/explain-order.ts'
import { readOverview } from '../http/pages/read-overview.ts'
import { registerRoutes } from '../http/routes.ts'
import { createHttpService } from '../http/server.ts'
import type { EventBus } from '../observe/events.ts'
import { createHistoryWriter, History } from '../observe/history.ts'
import { createMetrics } from '../observe/metrics.ts'
import { MinuteCounts } from '../observe/minutes.ts'
import { reportSettle } from '../order/reported-settle.ts'
import { createSettle, type Settle } from '../order/settle.ts'
import type { OrderStore } from '../order/store.ts'
import { MissingChecks } from '../queue/missing-checks.ts'
import { createRetention } from '../queue/retention.ts'
import { BoardQueue } from '../queue/view/board-queue.ts'
import { QueueView } from '../queue/view/queue-view.ts'
import { createWorkerService } from '../queue/worker/worker.ts'
import { describeRedisAddress } from '../redis/address.ts'
import { Connection } from '../redis/connection.ts'
import { EmbeddedRedis } from '../redis/embedded.ts'
import { commandProfile } from '../redis/profiles.ts'
import { createRedisWatch } from '../redis/watch.ts'
import { Breaker } from '../runtime/breaker.ts'
import type { Clock } from '../runtime/clock.ts'
import { formatDuration } from '../runtime/duration.ts'
import { Heartbeat } from '../runtime/heartbeat.ts'
import { retryUntilDone } from '../runtime/retry.ts'
import { Lifecycle, type Service } from '../runtime/service.ts'
import { openStore } from '../stores/kinds.ts'
import { Overdue } from '../sweep/overdue.ts'
import { sweep } from '../sweep/sweep.ts'
import { createSweeper } from '../sweep/sweeper.ts'
import { chooseStore, createBrake, createDryRun, MAX_BATCHES, nameOfProcess, REDIS_TIMEOUT_MS } from './parts.ts'

/** How often the store is swept while Redis is away. */
const SWEEP_WITHOUT_REDIS_MS = 10_000
/** Of the time for the stop, for the answers to requests under way: few take longer than a second or two. */
const REQUESTS_SHARE = 1 / 5
const DRAIN_LOOK_MS = 10
/** Batches in a row that fail before the store is left alone. */
const BREAKER_THRESHOLD = 3

export interface Daemon {
  /** Resolves when everything runs. Rejects with the first error, or the signal's reason; then call `stop`. */
  start(signal: AbortSignal): Promise<void>
  /** Stops what was started, in the opposite order, within the time. @returns what went wrong */
  stop(withinMs: number): Promise<OrderExpiryError[]>
}

/** What there is once the order store has been opened, before worker and sweeper start. */
interface Opened {
  store: OrderStore
  brake: Brake
  settle: { worker: Settle; sweeper: Settle }
}

/** The daemon: a frozen Config in, an ordered list of services out. The only place that knows every folder. */
export async function createDaemon(options: {
  config: Config
  /** Of this package. */
  version: string
  events: EventBus
  clock: Clock
  /** Where an embedded Redis keeps its data. Default {@link DATA_DIR}. */
  dataDir?: string
}): Promise<Daemon> {
  const { config, version, events, clock, dataDir = DATA_DIR } = options
  const queue = queueOf(config)
  let phase: 'starting' | 'running' | 'stopping' = 'starting'

  const tracing = await openTracing({ config, version, events, clock })
  const embedded = config.REDIS_URL
    ? undefined
    : new EmbeddedRedis({ dir: dataDir, clock, onExit: (exit) => events.emit('embedded-redis-exited', exit) })
  const redisUrl = config.REDIS_URL ?? (embedded?.url as string)

  const probe = new Connection({ address: redisUrl, profile: commandProfile(redisUrl, REDIS_TIMEOUT_MS) })
  const ping = async () => {
    try {
      await probe.selectDatabase()
      await probe.redis.ping()
    } catch (error) {
      throw probe.explain(error)
    }
    if (phase === 'running' && watch.failure) throw watch.failure // it takes no writes
  }
  const heartbeats = {
    worker: new Heartbeat({ name: 'worker', clock }),
    sweeper: new Heartbeat({ name: 'sweeper', clock }),
  }
  let opened: Opened | undefined
  /** Whether the order store has been tried: before that nothing is known of it. */
  let isOpening = false
  const demandOpened = () => {
    if (!opened) throw new OrderExpiryError('STORE_UNAVAILABLE', 'not opened yet')
    return opened
  }
  let board: BoardQueue | undefined
  let showOnBoard: Awaited<ReturnType<typeof registerRoutes>> | undefined

  const breaker = new Breaker<OrderExpiryError>({
    threshold: BREAKER_THRESHOLD,
    probe: async () => demandOpened().store.ping(),
    onOpen(error) {
      events.emit('store-breaker-opened', { error })
      worker.hold()
    },
    onClose() {
      events.emit('store-breaker-closed', {})
      worker.goOn()
      sweeper.wake()
    },
    clock,
  })
  const view = new QueueView({ connection: probe, queue, clock })
  const overdue = new Overdue({ store: () => demandOpened().store, clock })
  const minutes = new MinuteCounts({ events, clock })
  const history = new History({ redis: probe.redis, queue })
  const pingStore = async () => {
    await demandOpened().store.ping()
    if (breaker.failure) throw breaker.failure
  }
  const findOrder = async (orderId: string) => (await demandOpened().store.find([orderId]))[0]
  const metrics = createMetrics({
    events,
    sources: {
      brakeEngaged: () => opened?.brake.known?.engaged,
      storeBreakerOpen: () => breaker.failure !== undefined,
      readOverdue: () => (isOpening ? overdue.read() : undefined),
      dryRun: config.DRY_RUN,
      version,
      async readQueue() {
        const [counts, { within }] = await Promise.all([view.counts(), view.forecast()])
        return { ...counts, upcoming: within }
      },
      pingStore: () => (isOpening ? pingStore() : undefined),
      readOutbox: () => opened?.store.outbox?.(),
      loops: () => (phase === 'running' ? Object.values(heartbeats) : []),
    },
    clock,
  })

  const client = new OrderExpiry({
    redis: redisUrl,
    queueName: queue.name,
    queuePrefix: queue.prefix,
    paymentTimeout: formatDuration(config.PAYMENT_TIMEOUT),
    ...(config.ORDER_STORE === 'redis' && { orders: 'redis' }),
    ...(tracing && { telemetry: tracing.telemetry }),
  })
  const isOpen = isLoopback(config.HTTP_HOST)
  const http = createHttpService({
    host: config.HTTP_HOST,
    port: config.HTTP_PORT,
    events,
    async register(server) {
      showOnBoard = await registerRoutes(server, {
        phase: () => phase,
        dependencies: [
          { name: 'redis', ping },
          { name: 'store', ping: pingStore },
        ],
        heartbeats: Object.values(heartbeats),
        metrics,
        client,
        findOrder,
        explain: (orderId, jobId) => explainOrder({ orderId, jobId, view, store: demandOpened().store, config, clock }),
        paymentTimeoutMs: config.PAYMENT_TIMEOUT,
        readForecast: () => view.forecast(),
        readOverview: () =>
          readOverview({
            counts: () => view.counts(),
            forecast: () => view.forecast(),
            history: () => history.read({ now: clock.now(), minutes: 60 }),
            overdue: async () => overdue.read(),
            pingRedis: ping,
            pingStore,
            storeBreakerOpen: () => breaker.failure !== undefined,
            brake: () => opened?.brake.known,
            dryRun: config.DRY_RUN,
            clock,
          }),
        tokens: config.API_TOKENS ?? [],
        users: config.BOARD_USERS ?? [],
        isOpen,
        requestsPerSecond: config.API_RATE_LIMIT,
        isStopping: () => phase === 'stopping',
        isBoardReady: () => board?.isReady === true && !watch.failure,
        environment: config.BOARD_ENVIRONMENT,
        version,
        queueName: queue.name,
        events,
        clock,
      })
    },
  })

  const redis: Service = {
    name: 'redis',
    async start(signal) {
      await waitFor({ service: 'redis', attempt: ping, signal })
      const onError = (error: Error) => events.emit('redis-error', { connection: 'board', error })
      board = new BoardQueue({ redis: redisUrl, queue, onError })
      showOnBoard?.(board.queue)
      events.emit('service-started', { service: 'redis', detail: describeRedisAddress(redisUrl) })
    },
    async stop() {
      board?.close()
      await client.close()
      await missingChecks.close()
      probe.close()
    },
  }

  const storeService: Service = {
    name: 'store',
    async start(signal) {
      isOpening = true
      const choice = chooseStore({
        config,
        redisUrl,
        onError: (error) => events.emit('store-error', { error }),
        onNotice: (notice) => events.emit('store-notice', { notice }),
      })
      const store = await waitFor({ service: 'store', attempt: () => openStore(choice), signal })
      const brake = createBrake({ config, store, redis: probe.redis, events, clock })
      events.on('brake-changed', ({ engaged }) => {
        if (!engaged) sweeper.wake()
      })
      const cancelling = config.DRY_RUN ? createDryRun(store, events) : brake
      const settleFor = (heartbeat: Heartbeat) =>
        createSettle({
          store: cancelling,
          ping: () => store.ping(),
          breaker,
          onStep: () => heartbeat.beat(),
          clock,
        })
      opened = {
        store,
        brake,
        settle: {
          worker: settleFor(heartbeats.worker),
          sweeper: reportSettle({ settle: settleFor(heartbeats.sweeper), by: 'sweep', events, clock }),
        },
      }
      events.emit('service-started', { service: 'store', detail: config.ORDER_STORE })
    },
    async stop() {
      breaker.stop()
      await opened?.store.close()
    },
  }

  const worker = createWorkerService({
    redis: redisUrl,
    queue,
    concurrency: config.CONCURRENCY,
    batchSize: config.BATCH_SIZE,
    maxBatches: MAX_BATCHES,
    maxAttempts: config.MAX_ATTEMPTS,
    paymentTimeoutMs: config.PAYMENT_TIMEOUT,
    settle: (checks) => demandOpened().settle.worker(checks),
    decidedBy: nameOfProcess(),
    heartbeat: heartbeats.worker,
    isRedisAway: () => watch.failure !== undefined,
    ring: () => probe.redis.ping(),
    telemetry: tracing?.telemetry,
    events,
    clock,
  })

  const missingChecks = new MissingChecks({ redis: redisUrl, queue, clock })
  const sweeper = createSweeper({
    sweep: (part) =>
      sweep({
        ...part,
        store: demandOpened().store,
        settle: demandOpened().settle.sweeper,
        addChecks: (orders) => missingChecks.add(orders, { dryRun: false }),
        pageSize: config.BATCH_SIZE,
        onStep: () => heartbeats.sweeper.beat(),
        clock,
      }),
    everyMs: config.SWEEP_EVERY,
    aheadMs: config.SWEEP_AHEAD,
    heartbeat: heartbeats.sweeper,
    events,
    clock,
  })

  let sweptForRedisAt = Number.NEGATIVE_INFINITY
  const watch = createRedisWatch({
    connection: probe,
    queue,
    onBack: () => sweeper.wake(),
    onFailure: (error) => events.emit('redis-error', { connection: 'watch', error }),
    onLost() {
      events.emit('redis-emptied', {})
      sweeper.wake()
    },
    onTick() {
      // Where Redis is away or the breaker is open, nothing is to be fetched.
      if (watch.failure || breaker.failure) heartbeats.worker.beat()
      // Nobody but the sweeper finds what falls due then.
      if (watch.failure && clock.monotonic() - sweptForRedisAt > SWEEP_WITHOUT_REDIS_MS) {
        sweptForRedisAt = clock.monotonic()
        sweeper.wake()
      }
      void opened?.brake.refresh() // for the metric
    },
    clock,
  })

  const historyWriter = createHistoryWriter({
    counts: minutes,
    history,
    connection: probe,
    onError: (error) => events.emit('redis-error', { connection: 'history', error }),
    clock,
  })
  const retention = createRetention({ connection: probe, queue, events, clock })

  /** Ends first: what was asked before the end is answered, while there is still something to ask. */
  const requests: Service = {
    name: 'requests',
    async start() {},
    async stop() {
      const until = clock.monotonic() + config.SHUTDOWN_TIMEOUT * REQUESTS_SHARE
      while (!http.drained() && clock.monotonic() < until) await clock.sleep(DRAIN_LOOK_MS)
    },
  }

  // What answers the probes comes first and goes last; what takes in work comes last and goes first.
  const lifecycle = new Lifecycle({
    services: [
      http,
      ...(tracing ? [tracing.traces] : []),
      ...(embedded ? [embeddedService(embedded, events)] : []),
      redis,
      storeService,
      watch,
      historyWriter,
      retention,
      worker,
      sweeper,
      requests,
    ],
    clock,
  })

  function waitFor<T>(wanted: { service: string; attempt: () => Promise<T>; signal: AbortSignal }): Promise<T> {
    const { service, attempt, signal } = wanted
    return retryUntilDone({
      attempt,
      isRetryable: (error) => asOrderExpiryError(error).retryable,
      onWait: (error, waitMs) => events.emit('waiting-for', { service, error: asOrderExpiryError(error), waitMs }),
      clock,
      signal,
    })
  }

  return {
    async start(signal) {
      const startedAt = clock.now()
      await lifecycle.start(signal)
      phase = 'running'
      events.emit('ready', { startedInMs: clock.now() - startedAt })
    },
    async stop(withinMs) {
      phase = 'stopping'
      const errors = await lifecycle.stop(withinMs)
      events.emit('stopped', { errors })
      return errors
    },
  }
}

/** OpenTelemetry is loaded only where it is wanted. */
async function openTracing(options: { config: Config; version: string; events: EventBus; clock: Clock }) {
  const { config, version, events, clock } = options
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: headers = {} } = config
  if (endpoint === undefined) return undefined
  const [{ createTraces }, { createTelemetry }] = await Promise.all([
    import('../observe/traces.ts'),
    import('../queue/worker/telemetry.ts'),
  ])
  return {
    traces: createTraces({ endpoint, headers, serviceName: config.OTEL_SERVICE_NAME, version, events, clock }),
    telemetry: createTelemetry(version),
  }
}

function embeddedService(embedded: EmbeddedRedis, events: EventBus): Service {
  return {
    name: 'embedded-redis',
    async start(signal) {
      const how = await embedded.start({ mayJoin: false, signal })
      events.emit('service-started', { service: 'embedded-redis', detail: `${how}, at ${embedded.url}` })
    },
    stop: () => embedded.stop(),
  }
}
