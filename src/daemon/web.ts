import type { OrderExpiry } from '../client/client.ts'
import { isOnlyLocal } from '../config.ts'
import { registerApi } from '../http/api/api.ts'
import { registerOpenApi } from '../http/api/openapi.ts'
import { Board } from '../http/board/board.ts'
import { createDoors } from '../http/doors.ts'
import { frontOf } from '../http/front.ts'
import { registerPages } from '../http/pages/pages.ts'
import { registerMetrics, registerProbes } from '../http/probes.ts'
import { createHttpService } from '../http/server.ts'
import { createMetrics } from '../observe/metrics.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Service } from '../runtime/service.ts'
import { KINDS } from '../stores/kinds.ts'
import { type Given, redactorOf } from './parts.ts'
import type { DaemonVitals } from './vitals.ts'

/** Of the time for the stop, for the answers to requests under way: few take longer than a second or two. */
const REQUESTS_SHARE = 1 / 5
const DRAIN_LOOK_MS = 10

/**
 * What is served over HTTP: the API, the pages, the board, probes and metrics.
 *
 * @returns the services: `http` answers the probes from the first moment to the last, `board` needs Redis, and `requests` ends
 * first: what was asked before the end is answered, while there is still something to ask
 */
export function createWeb(
  options: Given & { redisAddress: RedisAddress; queue: NamedQueue; vitals: DaemonVitals; client: OrderExpiry },
): Record<'http' | 'board' | 'requests', Service> {
  const { config, redisAddress, queue, vitals, client, events, clock } = options
  const metrics = createMetrics({ events, vitals })
  const isOpen = isOnlyLocal(config)
  const front = frontOf(config)
  const doors = createDoors({
    front,
    users: config.BOARD_USERS ?? [],
    tokens: config.API_TOKENS ?? [],
    metrics: config.METRICS_TOKEN,
    isOpen,
    events,
    clock,
  })
  const environment = config.BOARD_ENVIRONMENT
  const board = new Board({
    redis: redisAddress,
    queue,
    vitals,
    environment,
    events,
    base: front.base,
    redact: redactorOf(config),
    paymentTimeoutMs: config.PAYMENT_TIMEOUT,
  })
  const site = {
    base: front.base,
    publicUrl: front.publicUrl,
    environment,
    version: vitals.version,
    sweepEveryMs: config.SWEEP_EVERY,
    isSwept: Boolean(config.ORDERS_DEADLINE_COLUMN),
    isBrakeLimited: config.BRAKE_MAX_PER_MINUTE !== undefined || config.BRAKE_PAYMENT_SILENCE !== undefined,
    isStoreInRedis: KINDS[config.ORDER_STORE].recordsAs !== undefined,
    vitals,
  }
  const http = createHttpService({
    host: config.HTTP_HOST,
    port: config.HTTP_PORT,
    site,
    front,
    events,
    async register(server) {
      if (!isOpen && !config.METRICS_TOKEN) events.emit('metrics-closed', {})
      registerProbes(server, { vitals })
      await server.register(async (scope) => {
        doors.metrics(scope)
        registerMetrics(scope, { metrics, clock })
      })
      await registerOpenApi(server, {
        version: vitals.version,
        front,
        environment,
        admit: doors.docs,
        hasTokens: config.API_TOKENS !== undefined,
      })
      await registerApi(server, {
        vitals,
        client,
        recordsOrders: site.isStoreInRedis,
        events,
        clock,
        admit: doors.api,
        requestsPerSecond: config.API_RATE_LIMIT,
      })
      await server.register(async (scope) => {
        doors.pages(scope)
        const api = config.API_TOKENS ? 'token' : isOpen ? 'open' : 'closed'
        registerPages(scope, { site, vitals, queueName: queue.name, api })
        await board.register(scope)
      })
    },
  })

  return {
    http,
    board,
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
