import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import type { Queue } from 'bullmq'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import { parseOrderId } from '../../order/order-id.ts'
import { jobIdOf } from '../../queue/contract.ts'
import type { Role } from '../basic.ts'
import { asHttpError, sendProblem } from '../problem.ts'
import { mask } from './mask.ts'

const BASE_PATH = '/board'
const MOST_JOBS = 100

/**
 * What an operator may do, by route of Bull Board's API; a viewer may do nothing. All else is refused to both, also what later
 * versions of the board may bring: orders are lost where jobs are removed, and limits of the queue are not ours to set.
 */
const OPERATOR_MAY: Record<string, string> = {
  '/board/api/queues/pause': 'pause all',
  '/board/api/queues/resume': 'resume all',
  '/board/api/queues/:queueName/pause': 'pause',
  '/board/api/queues/:queueName/resume': 'resume',
  '/board/api/queues/:queueName/add': 'add a job',
  '/board/api/queues/:queueName/promote': 'promote all',
  '/board/api/queues/:queueName/retry/:queueStatus': 'retry all',
  '/board/api/queues/:queueName/:jobId/retry': 'retry',
  '/board/api/queues/:queueName/:jobId/promote': 'promote',
  '/board/api/queues/:queueName/:jobId/delay': 'change the delay',
}

const RETRY_ONE = '/board/api/queues/:queueName/:jobId/retry'

/** A finished check says why its order was cancelled, or was not: done again, it would say something else. */
function keepsEvidence(): OrderExpiryError {
  return new OrderExpiryError('FORBIDDEN', 'only checks that were given up are done again: a finished one is evidence')
}

/**
 * Bull Board at `/board`. 503 while `isReady` says that Redis is away. Who may do what is decided here, on the server; the
 * board then shows no more buttons than work.
 *
 * @param options.roleOf who asks
 * @returns what adds a queue to it
 */
export async function registerBoard(
  scope: FastifyInstance,
  options: {
    isReady: () => boolean
    roleOf: (request: FastifyRequest) => Role
    environment: string | undefined
    events: EventBus
  },
): Promise<(queue: Queue) => void> {
  const { isReady, roleOf, environment, events } = options
  let shown: Queue | undefined
  const adapter = new FastifyAdapter()
  adapter.setBasePath(BASE_PATH)
  const board = createBullBoard({
    queues: [],
    serverAdapter: adapter,
    options: {
      uiConfig: {
        boardTitle: 'order-expiry',
        miscLinks: [{ text: 'Overview', url: '/' }],
        ...(environment && { environment: { label: environment, color: '#d08700' } }),
      },
    },
  })
  // On to the scope's, which knows the request.
  adapter.setErrorHandler((error) => {
    throw error
  })
  await scope.register(async (own) => {
    own.addHook('onRequest', async (request) => {
      if (!isReady()) throw new OrderExpiryError('REDIS_UNAVAILABLE', 'Redis cannot be asked now')
      if (request.method === 'GET' || request.method === 'HEAD') {
        const { jobsPerPage } = request.query as { jobsPerPage?: string }
        if (Number(jobsPerPage ?? 1) <= MOST_JOBS) return
        throw new OrderExpiryError('INVALID_REQUEST', `jobsPerPage: expected at most ${MOST_JOBS}`)
      }
      const action = OPERATOR_MAY[request.routeOptions.url ?? '']
      if (roleOf(request) === 'viewer') throw new OrderExpiryError('FORBIDDEN', 'expected an operator, given a viewer')
      if (!action)
        throw new OrderExpiryError(
          'FORBIDDEN',
          'not on this board: it would lose orders, or change how all are checked',
        )
      const { queueStatus } = request.params as { queueStatus?: string }
      if (queueStatus !== undefined && queueStatus !== 'failed') throw keepsEvidence()
    })
    own.addHook('preHandler', async (request) => {
      const action = OPERATOR_MAY[request.routeOptions.url ?? '']
      if (!action || request.method === 'GET' || request.method === 'HEAD') return
      const { queueName, jobId } = request.params as { queueName?: string; jobId?: string }
      if (request.routeOptions.url === RETRY_ONE && (await shown?.getJobState(jobId as string)) === 'completed') {
        throw keepsEvidence()
      }
      // Before it is done: whoever asked may be gone by then, and a part of it done.
      events.emit('operator-acted', {
        by: request.caller ?? 'anonymous',
        action,
        requestId: request.id,
        ...(queueName && { queue: queueName }),
        ...(jobId && { jobId }),
      })
    })
    own.addHook('preSerialization', async (request, _reply, payload) =>
      request.routeOptions.url === `${BASE_PATH}/api/queues` ? withoutButtons(payload, roleOf(request)) : payload,
    )
    own.addHook('onSend', async (_request, reply, payload) =>
      String(reply.getHeader('content-type')).startsWith('text/html') ? withoutOtherSites(payload as string) : payload,
    )
    // The board shows these two, of whatever was refused.
    own.setErrorHandler((error, request, reply) =>
      sendProblem(asHttpError(error), request, reply, ({ title, detail }) => ({ error: title, message: detail })),
    )
    await own.register(adapter.registerPlugin(), { prefix: BASE_PATH })
  })
  return (queue) => {
    shown = queue
    const adapted = new BullMQAdapter(queue, {
      description: 'One job for each order, due at its payment deadline',
      externalJobUrl: ({ id, data }) => ({ displayText: 'Explain', href: explanationOf(id, data) }),
    })
    adapted.setFormatter('data', mask)
    adapted.setFormatter('returnValue', mask)
    board.addQueue(adapted)
  }
}

/** The page that tells the order's story. A job that names no order must not break the page that lists it. */
function explanationOf(jobId: unknown, data: unknown): string {
  try {
    const orderId = parseOrderId((data as { orderId?: unknown } | null)?.orderId)
    const job = jobId === jobIdOf(orderId) ? '' : `?job=${encodeURIComponent(String(jobId))}`
    return `/orders/${encodeURIComponent(orderId)}${job}`
  } catch {
    return '/'
  }
}

/** The board's page asks another site for a font, which our content security policy refuses. */
function withoutOtherSites(html: string): string {
  return html.replace(/<link\b[^>]*\bhref="https?:[^>]*>/g, '')
}

/** The board shows no buttons that are refused anyway, as far as it can be told to. */
function withoutButtons(payload: unknown, role: Role): unknown {
  const { queues } = payload as { queues?: object[] }
  const isViewer = role === 'viewer' && { readOnlyMode: true, allowRetries: false }
  return queues
    ? {
        ...(payload as object),
        queues: queues.map((queue) => ({ ...queue, allowCompletedRetries: false, ...isViewer })),
      }
    : payload
}
