import { z } from 'zod'
import type { OrderExpiryOptions } from '../client/options.ts'
import { OrderExpiryError } from '../errors.ts'
import { type Fields, refuseUnknown } from '../runtime/fields.ts'

export interface TestOrderExpiryOptions extends Pick<OrderExpiryOptions, 'orders' | 'paymentTimeout'> {
  /** What the clock shows at first. Default: the time of this machine. */
  now?: Date | number
  /**
   * Whether an order of the shop's own table is unpaid when its deadline has come; undefined or null if there is none. Not with
   * `orders`, where the record decides.
   */
  isUnpaid?: (orderId: string) => Answer | Promise<Answer>
  /** Told of each order that is cancelled; with a table of the shop's own, this is where its row changes. */
  onCancelled?: (order: CancelledOrder) => unknown
}

type Answer = boolean | null | undefined

export interface CancelledOrder {
  orderId: string
  /** By the clock of the test. */
  cancelledAt: Date
}

const optionalFunction = z
  .custom<(...given: never[]) => unknown>((value) => typeof value === 'function', { error: 'expected a function' })
  .optional()

const testOptions = z
  .strictObject({
    orders: z.unknown().optional(),
    paymentTimeout: z.unknown().optional(),
    now: z.union([z.date(), z.number()], { error: 'expected a Date or epoch milliseconds' }).optional(),
    isUnpaid: optionalFunction,
    onCancelled: optionalFunction,
  })
  .refine(({ orders, isUnpaid }) => orders === undefined || isUnpaid === undefined, {
    path: ['isUnpaid'],
    error: 'expected none beside orders, since the record decides',
  })

const FIELDS: Fields = {
  of: 'createTestOrderExpiry',
  known: Object.keys(testOptions.shape),
  meant: {
    orders: /order|store|record/i,
    paymentTimeout: /timeout|deadline|expir/i,
    now: /now|time|clock|date|start/i,
    isUnpaid: /paid|status|pending/i,
    onCancelled: /cancel/i,
  },
  code: 'INVALID_OPTIONS',
}

/**
 * Refuses what cannot be meant. `orders` and `paymentTimeout` are left to the client.
 *
 * @throws {OrderExpiryError} INVALID_OPTIONS
 */
export function checkTestOptions(options: TestOrderExpiryOptions): void {
  if (typeof options === 'object' && options !== null) refuseUnknown(options, FIELDS)
  const parsed = testOptions.safeParse(options)
  if (parsed.success) return
  throw new OrderExpiryError('INVALID_OPTIONS', `createTestOrderExpiry: ${z.prettifyError(parsed.error)}`)
}
