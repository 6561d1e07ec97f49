import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import basicAuth from '@fastify/basic-auth'
import type { Queue } from 'bullmq'
import type { FastifyInstance } from 'fastify'
import { type Credentials, findUser } from './auth.ts'

const BASE_PATH = '/board'

/**
 * Bull Board, read-only, at `/board`; behind HTTP Basic if there are users. 503 while `isReady` says that Redis is away.
 *
 * @returns what adds a queue to it
 */
export async function registerBoard(
  server: FastifyInstance,
  options: { isReady: () => boolean; users: readonly Credentials[] },
): Promise<(queue: Queue) => void> {
  const { isReady, users } = options
  const adapter = new FastifyAdapter()
  adapter.setBasePath(BASE_PATH)
  const board = createBullBoard({
    queues: [],
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: 'order-expiry' } },
  })
  await server.register(async (scope) => {
    if (users.length > 0) {
      await scope.register(basicAuth, {
        authenticate: { realm: 'order-expiry' },
        async validate(name, password) {
          if (!findUser(users, { name, password })) return new Error('expected a user of BOARD_USERS')
          return undefined
        },
      })
      scope.addHook('onRequest', scope.basicAuth)
    }
    scope.addHook('onRequest', async (_request, reply) => {
      if (isReady()) return
      await reply
        .code(503)
        .header('retry-after', '5')
        .send({ code: 'REDIS_UNAVAILABLE', detail: 'Redis cannot be asked now' })
    })
    await scope.register(adapter.registerPlugin(), { prefix: BASE_PATH })
  })
  return (queue) => board.addQueue(new BullMQAdapter(queue, { readOnlyMode: true }))
}
