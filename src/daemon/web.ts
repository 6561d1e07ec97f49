import type { OrderExpiry } from '../client/client.ts'
import { type Config, isLoopback, queueOf } from '../config.ts'
import { explainOrder } from '../explain/explain-order.ts'
import { readOverview } from '../http/pages/read-overview.ts'
import { registerRoutes } from '../http/routes.ts'
import { createHttpService } from '../http/server.ts'
import type { EventBus } from '../observe/events.ts'
import { createMetrics } from '../observe/metrics.ts'
import { BoardQueue } from '../queue/view/board-queue.ts'
import type { Service } from '../runtime/service.ts'
import type { Vitals } from './vitals.ts'

/** Of the time for the stop, for the answers to requests under way: few take longer than a second or two. */
const REQUESTS_SHARE = 1 / 5
const DRAIN_LOOK_MS = 10

export interface Web {
  /** Answers the probes from the first moment to the last. */
  http: Service
  /** Shows the queue on the board. Needs Redis. */
  board: Service
  /** Ends first: what was asked before the end is answered, while there is still something to ask. */
  requests: Service
}

/** What is served over HTTP: the API, the pages, the board, probes and metrics. */
export function createWeb(options: {
  config: Config
  redisUrl: string
  vitals: Vitals
  client: OrderExpiry
  events: EventBus
}): Web {
  const { config, redisUrl, vitals, client, events } = options
  const { clock, view } = vitals
  const queue = queueOf(config)
  const metrics = createMetrics({ events, sources: sourcesOf(vitals), clock })
  let board: BoardQueue | undefined
  let showOnBoard: Awaited<ReturnType<typeof registerRoutes>> | undefined

  const http = createHttpService({
    host: config.HTTP_HOST,
    port: config.HTTP_PORT,
    events,
    async register(server) {
      showOnBoard = await registerRoutes(server, {
        phase: () => vitals.phase,
        dependencies: [
          { name: 'redis', ping: () => vitals.pingRedis() },
          { name: 'store', ping: () => vitals.pingStore() },
        ],
        heartbeats: Object.values(vitals.heartbeats),
        metrics,
        client,
        findOrder: async (orderId) => (await vitals.store.find([orderId]))[0],
        explain: (orderId, jobId) =>
          explainOrder({ orderId, jobId, view, store: vitals.store, dryRun: vitals.dryRun, clock }),
        paymentTimeoutMs: config.PAYMENT_TIMEOUT,
        readForecast: () => view.forecast(),
        readOverview: () =>
          readOverview({
            counts: () => view.counts(),
            forecast: () => view.forecast(),
            history: () => vitals.readHistory(),
            overdue: () => vitals.readOverdue(),
            pingRedis: () => vitals.pingRedis(),
            pingStore: () => vitals.pingStore(),
            storeBreakerOpen: () => vitals.isBreakerOpen,
            brake: () => vitals.brake,
            dryRun: vitals.dryRun,
            clock,
          }),
        tokens: config.API_TOKENS ?? [],
        users: config.BOARD_USERS ?? [],
        isOpen: isLoopback(config.HTTP_HOST),
        requestsPerSecond: config.API_RATE_LIMIT,
        isStopping: () => vitals.phase === 'stopping',
        isBoardReady: () => board?.isReady === true && !vitals.redisFailure,
        environment: config.BOARD_ENVIRONMENT,
        version: vitals.version,
        queueName: queue.name,
        events,
        clock,
      })
    },
  })

  return {
    http,
    board: {
      name: 'board',
      async start() {
        const onError = (error: Error) => events.emit('redis-error', { connection: 'board', error })
        board = new BoardQueue({ redis: redisUrl, queue, onError })
        showOnBoard?.(board.queue)
      },
      async stop() {
        board?.close()
      },
    },
    requests: {
      name: 'requests',
      async start() {},
      async stop() {
        const until = clock.monotonic() + config.SHUTDOWN_TIMEOUT * REQUESTS_SHARE
        while (!http.drained() && clock.monotonic() < until) await clock.sleep(DRAIN_LOOK_MS)
      },
    },
  }
}

function sourcesOf(vitals: Vitals): Parameters<typeof createMetrics>[0]['sources'] {
  return {
    brakeEngaged: () => vitals.brake?.engaged,
    storeBreakerOpen: () => vitals.isBreakerOpen,
    readOverdue: () => (vitals.isStoreTried ? vitals.readOverdue() : undefined),
    dryRun: vitals.dryRun,
    version: vitals.version,
    readQueue: () => vitals.readQueue(),
    pingStore: () => (vitals.isStoreTried ? vitals.pingStore() : undefined),
    readOutbox: () => vitals.checking?.store.outbox?.(),
    loops: () => vitals.loops(),
  }
}
