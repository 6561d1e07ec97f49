import type { Telemetry } from 'bullmq'
import { z } from 'zod'
import { OrderExpiryError } from '../errors.ts'
import { MAX_AHEAD_MS } from '../order/deadline.ts'
import { JOB_NAME } from '../queue/contract.ts'
import { addressOf, type ShopRedis } from '../redis/shop-redis.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'
import { type Fields, refuseUnknown } from '../runtime/fields.ts'
import { RECORDS, type RecordsName } from '../stores/records.ts'

export interface OrderExpiryOptions {
  /** Where the queue is: a URL such as `redis://host:6379`, ioredis options, or an ioredis client; no Cluster. */
  redis: ShopRedis
  /** This library records the orders too, in this store. Default: the shop's own table does. */
  orders?: RecordsName
  /** Default `check-payment`; must equal the daemon's QUEUE_NAME. */
  queueName?: string
  /** Default `bull`; must equal the daemon's QUEUE_PREFIX. */
  queuePrefix?: string
  /** The deadline of orders scheduled without one, counted from now. Default `'5m'`. */
  paymentTimeout?: string
  /**
   * BullMQ's own option of that name, such as `new BullMQOtel({ tracerName: 'shop' })` of the package bullmq-otel: the check
   * of an order is linked to the span that is active when it is scheduled. docs/traces.md says how much
   * Redis memory that costs per waiting order. Default: none.
   */
  telemetry?: Telemetry
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const clientOptions = z.strictObject({
  redis: z.unknown().optional(),
  orders: z.enum(Object.keys(RECORDS) as [RecordsName]).optional(),
  queueName: z
    .string()
    .regex(/^[^:]+$/, 'without ":"')
    .optional(),
  queuePrefix: z.string().min(1).optional(),
  paymentTimeout: z
    .string()
    .refine((text) => isTimeout(parseDuration(text)), `expected ${DURATION_FORMAT}, up to a year`)
    .optional(),
  telemetry: z
    .custom<object>((value) => isObject(value) && 'tracer' in value && 'contextManager' in value, {
      error: 'expected a BullMQ telemetry object',
    })
    .optional(),
})

const FIELDS: Fields = {
  of: 'OrderExpiry',
  known: Object.keys(clientOptions.shape),
  meant: {
    redis: /url|connection|client|host/i,
    paymentTimeout: /time|deadline|expir/i,
    queuePrefix: /prefix/i,
    queueName: /queue|name/i,
    orders: /order|store|record/i,
    telemetry: /tele|trac|otel/i,
  },
  code: 'INVALID_OPTIONS',
}

/**
 * The options of a client, complete.
 *
 * @throws {OrderExpiryError} INVALID_OPTIONS
 */
export function parseClientOptions(options: OrderExpiryOptions) {
  if (isObject(options)) refuseUnknown(options, FIELDS)
  const parsed = clientOptions.safeParse(options)
  if (!parsed.success) {
    const texts = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'options'}: ${message}`)
    throw new OrderExpiryError('INVALID_OPTIONS', `OrderExpiry: ${texts.join('; ')}`)
  }
  const { orders, queueName = JOB_NAME, queuePrefix = 'bull', paymentTimeout = '5m', telemetry } = options
  return { redis: addressOf(options.redis), orders, queueName, queuePrefix, paymentTimeout, telemetry }
}

function isTimeout(ms = 0): boolean {
  return ms > 0 && ms <= MAX_AHEAD_MS
}
