import type { Queue } from 'bullmq'
import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import type { EventBus } from '../observe/events.ts'
import { registerApi } from './api/api.ts'
import { registerExplainPage } from './api/explain.ts'
import { registerOpenApi } from './api/openapi.ts'
import { requireBasic, type User } from './basic.ts'
import { registerBoard } from './board/board.ts'
import { registerHealth } from './health.ts'
import { registerMetrics } from './metrics.ts'
import { type Overview, registerOverview } from './pages/overview.ts'

/** Everything that is served. */
export type Routes = Parameters<typeof registerApi>[1] &
  Parameters<typeof registerHealth>[1] & {
    metrics: Registry
    readOverview: () => Promise<Overview>
    users: readonly User[]
    isBoardReady: () => boolean
    /** A badge on the pages, such as `staging`. */
    environment: string | undefined
    version: string
    queueName: string
    events: EventBus
  }

/**
 * Probes and metrics are open to all; `/v1` wants a token, the pages and the board a user.
 *
 * @returns what adds a queue to the board
 */
export async function registerRoutes(server: FastifyInstance, routes: Routes): Promise<(queue: Queue) => void> {
  registerHealth(server, routes)
  registerMetrics(server, routes.metrics)
  await registerOpenApi(server, routes)
  await registerApi(server, routes)
  let showOnBoard: ((queue: Queue) => void) | undefined
  await server.register(async (scope) => {
    const roleOf = await requireBasic(scope, routes)
    registerOverview(scope, { ...routes, read: routes.readOverview })
    registerExplainPage(scope, routes)
    showOnBoard = await registerBoard(scope, { ...routes, isReady: routes.isBoardReady, roleOf })
  })
  return showOnBoard as (queue: Queue) => void
}
