import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import type { Vitals } from '../../observe/vitals.ts'
import { parseOrderId } from '../../order/order-id.ts'
import { jobIdOf } from '../../queue/contract.ts'
import { type BoardQueue, openBoardQueue } from '../../queue/view/board-queue.ts'
import type { RedisAddress } from '../../redis/address.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import type { Service } from '../../runtime/service.ts'
import { asHttpError, sendProblem } from '../problem.ts'
import { explainJobError, guardJobs } from './job-guard.ts'
import { mask, maskJob, maskLog, maskScheduler } from './mask.ts'
import { guardBoard } from './permissions.ts'

const BASE_PATH = '/board'

interface BoardOptions {
  redis: RedisAddress
  queue: NamedQueue
  vitals: Pick<Vitals, 'redisFailure' | 'clock'>
  /** A badge, such as `staging`. */
  environment: string | undefined
  events: EventBus
  /** What comes before each path in links, such as `/order-expiry`, or nothing. */
  base: string
  /** Takes secrets out of what is on a job. */
  redact: (text: string) => string
  /** The time-out of an order whose check is added without a deadline, in milliseconds. */
  paymentTimeoutMs: number
}

/**
 * Bull Board at `/board`, a service that needs Redis to start: 503 before, and while Redis is away. Permissions are
 * decided here, on the server; the board then shows only buttons that work.
 */
export class Board implements Service {
  readonly name = 'board'
  readonly #options: BoardOptions
  readonly #adapter = new FastifyAdapter()
  readonly #board: ReturnType<typeof createBullBoard>
  #shown: BoardQueue | undefined

  constructor(options: BoardOptions) {
    const { environment, base } = options
    this.#options = options
    this.#adapter.setBasePath(`${base}${BASE_PATH}`)
    this.#board = createBullBoard({
      queues: [],
      serverAdapter: this.#adapter,
      options: {
        uiConfig: {
          boardTitle: 'order-expiry',
          miscLinks: [{ text: 'Overview', url: `${base}/` }],
          ...(environment && { environment: { label: environment, color: '#d08700' } }),
        },
      },
    })
    // Replaces the board's own: the scope's handler, which knows the request, answers.
    this.#adapter.setErrorHandler((error) => {
      throw error
    })
  }

  async start(): Promise<void> {
    const { redis, queue, events, base } = this.#options
    const onError = (error: Error) => events.emit('redis-error', { connection: 'board', error })
    this.#shown = openBoardQueue({ redis, queue, onError })
    const adapted = new BullMQAdapter(this.#shown.queue, {
      description: 'One job for each order, due at its payment deadline',
      externalJobUrl: ({ id, data }) => ({ displayText: 'Explain', href: `${base}${explanationOf(id, data)}` }),
    })
    adapted.setFormatter('data', mask)
    adapted.setFormatter('returnValue', mask)
    this.#board.addQueue(adapted)
  }

  async stop(): Promise<void> {
    this.#shown?.close()
  }

  async register(scope: FastifyInstance): Promise<void> {
    const { vitals, events, redact, paymentTimeoutMs } = this.#options
    await scope.register(async (own) => {
      own.addHook('onRequest', async () => {
        if (this.#shown?.isReady() && !vitals.redisFailure) return
        throw new OrderExpiryError('REDIS_UNAVAILABLE', 'Redis cannot be asked now')
      })
      const queue = () => this.#shown?.queue
      guardJobs(own, { queue, clock: vitals.clock, paymentTimeoutMs })
      guardBoard(own, { queue, events })
      own.addHook('preSerialization', async (request, _reply, payload) => shownTo({ request, payload, redact }))
      own.addHook('onSend', async (_request, reply, payload) => {
        const isPage = String(reply.getHeader('content-type')).startsWith('text/html')
        return isPage && typeof payload === 'string' ? withoutOtherSites(payload) : payload
      })
      // The board shows `error` and `message` of whatever is refused.
      own.setErrorHandler((error, request, reply) =>
        sendProblem(asHttpError(explainJobError(error)), request, reply, ({ title, detail }) => ({
          error: title,
          detail: redact(detail),
          message: redact(detail),
        })),
      )
      await own.register(this.#adapter.registerPlugin(), { prefix: BASE_PATH })
    })
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

interface Answer {
  queues?: ({ jobs: Job[] } & object)[]
  job?: Job
  schedulers?: Job[]
}
type Job = Record<string, unknown>

/**
 * An answer of the board's API as the caller may see it: nobody sees a secret of ours in what is on a job, a viewer gets nothing
 * of one that a producer wrote freely, and nobody gets buttons that would be refused anyway, as far as the board lets us.
 */
function shownTo(options: { request: FastifyRequest; payload: unknown; redact: (text: string) => string }): unknown {
  const { request, payload, redact } = options
  const isOperator = request.role === 'operator'
  // Text by text: within JSON, a secret of digits would be found in times as well.
  const clean = <Part>(part: Part): Part =>
    JSON.parse(JSON.stringify(part, (_, value) => (typeof value === 'string' ? redact(value) : value)))
  if (Array.isArray(payload)) {
    const isLog = request.routeOptions.url?.endsWith('/logs')
    return clean(isLog && !isOperator ? payload.map(maskLog) : payload)
  }
  const { queues, job, schedulers, ...rest } = payload as Answer
  // Links need the id and the address as they are.
  const show = (each: Job) => {
    const { id, externalUrl } = each
    return { ...clean(isOperator ? each : maskJob(each)), id, externalUrl }
  }
  const looks = { allowCompletedRetries: false, ...(!isOperator && { readOnlyMode: true, allowRetries: false }) }
  return {
    ...rest,
    ...(queues && { queues: queues.map((queue) => ({ ...queue, ...looks, jobs: queue.jobs.map(show) })) }),
    ...(job && { job: show(job) }),
    ...(schedulers && { schedulers: clean(schedulers.map(maskScheduler)) }),
  }
}
