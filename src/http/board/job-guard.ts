import type { Queue } from 'bullmq'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import { parseContractDeadline } from '../../order/deadline.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { callerOf } from '../auth.ts'
import { newCheckOf } from './new-check.ts'

const QUEUE = '/board/api/queues/:queueName'
/** Keys of earlier versions of BullMQ, which a Redis may still have. */
const OLD_KEYS = ['added', 'delay', 'priority', 'waiting']

export type GuardedQueue = Pick<Queue, 'getJobState' | 'keys'>

/** Afterwards each route of the board reaches jobs only, never another key of the queue, and adds nothing but checks. */
export function guardJobs(
  scope: FastifyInstance,
  options: { queue: () => GuardedQueue | undefined; clock: Pick<Clock, 'now'>; paymentTimeoutMs: number },
): void {
  const { queue, clock, paymentTimeoutMs } = options

  scope.addHook('preHandler', async (request, reply) => {
    const { jobId } = request.params as { jobId?: string }
    const { url = '' } = request.routeOptions
    const shown = queue()
    if (!shown) return
    if (jobId !== undefined) await expectJob({ queue: shown, jobId, isPage: !url.startsWith('/board/api/') })
    // A check has no children, and a stranger's job may name itself as its parent: BullMQ's board would follow it for ever.
    if (url === `${QUEUE}/:jobId/flow`) return reply.send({ nodeId: jobId, flowRoot: null, isFlowNode: false })
    if (url === `${QUEUE}/:jobId/delay`) expectDeadline(request, clock.now())
    if (url === `${QUEUE}/add`) {
      const { body } = request
      request.body = newCheckOf({ body, by: callerOf(request), now: clock.now(), paymentTimeoutMs })
      await expectNoCheck(shown, request.body as ReturnType<typeof newCheckOf>)
    }
  })
}

async function expectJob(options: { queue: GuardedQueue; jobId: string; isPage: boolean }): Promise<void> {
  const { queue, jobId, isPage } = options
  const isKey = Object.hasOwn(queue.keys, jobId) || OLD_KEYS.includes(jobId)
  if (!isKey && (isPage || (await queue.getJobState(jobId)) !== 'unknown')) return
  throw new OrderExpiryError('NOT_FOUND', 'there is no such job in the queue')
}

function expectDeadline({ body }: FastifyRequest, now: number): void {
  const { runAt } = (body ?? {}) as { runAt?: unknown }
  if (typeof runAt !== 'number') {
    throw new OrderExpiryError('INVALID_REQUEST', 'runAt: expected epoch milliseconds')
  }
  parseContractDeadline({ input: runAt, now })
}

/** BullMQ ignores a second job of the same id, and the operator would believe that it was added. */
async function expectNoCheck(queue: GuardedQueue, { data, options }: ReturnType<typeof newCheckOf>): Promise<void> {
  const state = await queue.getJobState(options.jobId)
  if (state === 'unknown') return
  const what = {
    completed: 'its check has decided, and is evidence: PATCH /v1/orders/{id} gives it a new deadline',
    failed: 'its check was given up: retry that one',
  }[state as string]
  const message = `${data.orderId}: ${what ?? `already has a check, which is ${state}: promote it, or change its delay`}`
  throw new OrderExpiryError('DEADLINE_CONFLICT', message)
}

/** What BullMQ refuses because of the job, as an error of ours; anything else as it is. */
export function explainJobError(error: unknown): unknown {
  if (redisErrorCode(error) === 'WRONGTYPE') {
    const message = 'expected a hash in the place of the job, given a key of another type: BullMQ cannot read it'
    return new OrderExpiryError('INVALID_JOB', message, { cause: error })
  }
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code !== 'number' || code >= 0) return error // BullMQ's own are negative
  return new OrderExpiryError('INVALID_REQUEST', `not possible for a job in this state: ${message}`, { cause: error })
}
