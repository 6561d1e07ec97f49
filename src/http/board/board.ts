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
import { mask } from './mask.ts'
import { guardBoard } from './permissions.ts'

const BASE_PATH = '/board'

interface BoardOptions {
  redis: RedisAddress
  queue: NamedQueue
  vitals: Pick<Vitals, 'redisFailure'>
  /** A badge, such as `staging`. */
  environment: string | undefined
  events: EventBus
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
    const { environment } = options
    this.#options = options
    this.#adapter.setBasePath(BASE_PATH)
    this.#board = createBullBoard({
      queues: [],
      serverAdapter: this.#adapter,
      options: {
        uiConfig: {
          boardTitle: 'order-expiry',
          miscLinks: [{ text: 'Overview', url: '/' }],
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
    const { redis, queue, events } = this.#options
    const onError = (error: Error) => events.emit('redis-error', { connection: 'board', error })
    this.#shown = openBoardQueue({ redis, queue, onError })
    const adapted = new BullMQAdapter(this.#shown.queue, {
      description: 'One job for each order, due at its payment deadline',
      externalJobUrl: ({ id, data }) => ({ displayText: 'Explain', href: explanationOf(id, data) }),
    })
    adapted.setFormatter('data', mask)
    adapted.setFormatter('returnValue', mask)
    this.#board.addQueue(adapted)
  }

  async stop(): Promise<void> {
    this.#shown?.close()
  }

  async register(scope: FastifyInstance): Promise<void> {
    await scope.register(async (own) => {
      own.addHook('onRequest', async () => {
        if (this.#shown?.isReady() && !this.#options.vitals.redisFailure) return
        throw new OrderExpiryError('REDIS_UNAVAILABLE', 'Redis cannot be asked now')
      })
      guardBoard(own, { queue: () => this.#shown?.queue, events: this.#options.events })
      own.addHook('preSerialization', async (request, _reply, payload) =>
        request.routeOptions.url === `${BASE_PATH}/api/queues` ? withoutButtons(payload, request) : payload,
      )
      own.addHook('onSend', async (_request, reply, payload) =>
        String(reply.getHeader('content-type')).startsWith('text/html')
          ? withoutOtherSites(payload as string)
          : payload,
      )
      // The board shows `error` and `message` of whatever is refused.
      own.setErrorHandler((error, request, reply) =>
        sendProblem(asHttpError(error), request, reply, ({ title, detail }) => ({ error: title, message: detail })),
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

/** Hides the buttons that would be refused anyway, as far as the board lets us. */
function withoutButtons(payload: unknown, { role }: FastifyRequest): unknown {
  const { queues, ...rest } = payload as { queues?: object[] }
  if (!queues) return payload
  const looks = {
    allowCompletedRetries: false,
    ...(role !== 'operator' && { readOnlyMode: true, allowRetries: false }),
  }
  return { ...rest, queues: queues.map((queue) => ({ ...queue, ...looks })) }
}
