import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import { callerOf } from '../auth.ts'
import type { GuardedQueue } from './job-guard.ts'

const MOST_JOBS_A_PAGE = 100

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
      const { jobsPerPage = 1 } = request.query as { jobsPerPage?: string }
      if (Number(jobsPerPage) <= MOST_JOBS_A_PAGE) return
      throw new OrderExpiryError('INVALID_REQUEST', `jobsPerPage: expected at most ${MOST_JOBS_A_PAGE}`)
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
