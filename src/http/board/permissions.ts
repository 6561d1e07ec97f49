import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import { callerOf } from '../auth.ts'
import type { GuardedQueue } from './job-guard.ts'

/** Of numbers in a query. */
const MOST: Record<string, number> = { jobsPerPage: 100, page: 1_000_000 }

const QUEUE = '/board/api/queues/:queueName'
const RETRY_ONE = `${QUEUE}/:jobId/retry`

/**
 * What an operator may do, by route of Bull Board's API; a viewer may do nothing. Everything else is refused to both, as is
 * whatever later versions of the board may bring: removing jobs loses orders, and the limits of the queue are not ours to set.
 */
const OPERATOR_MAY: Record<string, string> = {
  '/board/api/queues/pause': 'pause all',
  '/board/api/queues/resume': 'resume all',
  [`${QUEUE}/pause`]: 'pause',
  [`${QUEUE}/resume`]: 'resume',
  [`${QUEUE}/add`]: 'add a job',
  [`${QUEUE}/promote`]: 'promote all',
  [`${QUEUE}/retry/:queueStatus`]: 'retry all',
  [RETRY_ONE]: 'retry',
  [`${QUEUE}/:jobId/promote`]: 'promote',
  [`${QUEUE}/:jobId/delay`]: 'change the delay',
}

/** Afterwards each route of the board's API refuses those who may not use it, and reports every action. */
export function guardBoard(
  scope: FastifyInstance,
  options: {
    /** The queue that is shown; undefined if there is none yet. */
    queue: () => GuardedQueue | undefined
    events: EventBus
  },
): void {
  const { queue, events } = options

  scope.addHook('onRequest', async (request) => {
    if (isReading(request)) {
      expectQuery(request.query as Record<string, unknown>)
      return
    }
    if (request.role !== 'operator') throw forbidden('expected an operator, given a viewer')
    if (!actionOf(request)) throw forbidden('not on this board: it would lose orders, or change how all are checked')
    const { queueStatus = 'failed' } = request.params as { queueStatus?: string }
    if (queueStatus !== 'failed') throw keepsEvidence()
  })

  scope.addHook('preHandler', async (request) => {
    const action = actionOf(request)
    if (!action || isReading(request)) return
    const { queueName, jobId = addedBy(request) } = request.params as { queueName?: string; jobId?: string }
    if (request.routeOptions.url === RETRY_ONE && (await queue()?.getJobState(jobId ?? '')) === 'completed') {
      throw keepsEvidence()
    }
    // Reported first: afterwards the caller may be gone, with a part of it done.
    events.emit('operator-acted', {
      by: callerOf(request),
      action,
      requestId: request.id,
      ...(queueName && { queue: queueName }),
      ...(jobId && { jobId }),
    })
  })
}

/** The id of the job that is added, as {@link guardJobs} has made it. */
function addedBy({ body, routeOptions }: FastifyRequest): string | undefined {
  return routeOptions.url === `${QUEUE}/add` ? (body as { options: { jobId: string } }).options.jobId : undefined
}

/** What Bull Board takes as it is, and fails over later as if it were our fault. */
function expectQuery(query: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(query)) {
    const most = MOST[name]
    if (most !== undefined && !(Number(value) <= most)) {
      throw new OrderExpiryError('INVALID_REQUEST', `${name}: expected at most ${most}`)
    }
    if (typeof value !== 'string' || /\p{Cc}/u.test(value) || !isDecodable(value)) {
      throw new OrderExpiryError('INVALID_REQUEST', `${name}: expected one percent-encoded text`)
    }
  }
}

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined
  } catch {
    return false
  }
}

function isReading({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}

function actionOf({ routeOptions }: FastifyRequest): string | undefined {
  return OPERATOR_MAY[routeOptions.url ?? '']
}

/** A finished check says why its order was cancelled, or was not. Repeated, it would say something else. */
function keepsEvidence(): OrderExpiryError {
  return forbidden('only given-up checks can be retried: a finished one is evidence')
}

function forbidden(message: string): OrderExpiryError {
  return new OrderExpiryError('FORBIDDEN', message)
}
