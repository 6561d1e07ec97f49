/**
 * Every error that order-expiry reports. The code is its public name: never tell errors apart by their wording.
 * `retryable`: the same call can succeed later without anything being changed by hand.
 * `blames`, for errors of the order store: what has to change before the same batch can succeed.
 */
const CATALOGUE = {
  INVALID_ORDER_ID: { retryable: false, httpStatus: 400 },
  INVALID_DEADLINE: { retryable: false, httpStatus: 400 },
  INVALID_OPTIONS: { retryable: false, httpStatus: 400 },
  INVALID_SETTINGS: { retryable: false, httpStatus: 500 },
  INVALID_JOB: { retryable: false, httpStatus: 400 },
  UNKNOWN_JOB: { retryable: false, httpStatus: 400 },
  NOT_RECORDED_HERE: { retryable: false, httpStatus: 409 },
  INVALID_REQUEST: { retryable: false, httpStatus: 400 },
  UNAUTHORIZED: { retryable: false, httpStatus: 401 },
  FORBIDDEN: { retryable: false, httpStatus: 403 },
  NOT_FOUND: { retryable: false, httpStatus: 404 },
  METHOD_NOT_ALLOWED: { retryable: false, httpStatus: 405 },
  REQUEST_TIMEOUT: { retryable: true, httpStatus: 408 },
  ORDER_UNKNOWN: { retryable: false, httpStatus: 404 },
  DEADLINE_CONFLICT: { retryable: false, httpStatus: 409 },
  ORDER_SETTLED: { retryable: false, httpStatus: 409 },
  ORDER_ALREADY_CANCELLED: { retryable: false, httpStatus: 409 },
  CHECK_UNDER_WAY: { retryable: true, httpStatus: 409 },
  BODY_TOO_LARGE: { retryable: false, httpStatus: 413 },
  UNSUPPORTED_MEDIA_TYPE: { retryable: false, httpStatus: 415 },
  RATE_LIMITED: { retryable: true, httpStatus: 429 },
  STOPPING: { retryable: true, httpStatus: 503 },
  CLOSED: { retryable: false, httpStatus: 503 },
  REDIS_UNAVAILABLE: { retryable: true, httpStatus: 503 },
  REDIS_REFUSED: { retryable: false, httpStatus: 500 },
  EMBEDDED_REDIS_FAILED: { retryable: false, httpStatus: 500 },
  STORE_UNAVAILABLE: { retryable: true, httpStatus: 503, blames: 'store' },
  STORE_READ_ONLY: { retryable: true, httpStatus: 503, blames: 'store' },
  STORE_LOCKED: { retryable: true, httpStatus: 503, blames: 'lock' },
  STORE_DEADLOCK: { retryable: true, httpStatus: 503, blames: 'lock' },
  STORE_SERIALIZATION: { retryable: true, httpStatus: 503, blames: 'lock' },
  STORE_UNDECIDED: { retryable: true, httpStatus: 503 },
  STORE_BUSY: { retryable: true, httpStatus: 503, blames: 'store-or-order' },
  STORE_REFUSED: { retryable: false, httpStatus: 500, blames: 'store-or-order' },
  STORE_MISMATCH: { retryable: false, httpStatus: 500, blames: 'store-or-order' },
  STORE_REJECTED: { retryable: false, httpStatus: 500, blames: 'order' },
  PAYMENT_UNSETTLED: { retryable: false, httpStatus: 409, blames: 'order' },
  OUTBOX_MISSING: { retryable: false, httpStatus: 500, blames: 'store' },
  HTTP_LISTEN_FAILED: { retryable: false, httpStatus: 500 },
  STOP_INCOMPLETE: { retryable: false, httpStatus: 500 },
  UNEXPECTED: { retryable: false, httpStatus: 500, blames: 'order' },
} as const satisfies Record<string, { retryable: boolean; httpStatus: number; blames?: Blame }>

/**
 * - `store`: it does not work as a whole, so that every other batch would fail as well.
 * - `lock`: somebody else's transaction was in the way; a part of the batch may get past it.
 * - `order`: something in the batch.
 * - `store-or-order`: the store as a whole, or one order, whose trigger takes too long or names a missing table. If the
 *   store passes its own probe, it is an order.
 */
type Blame = 'store' | 'lock' | 'order' | 'store-or-order'

export type ErrorCode = keyof typeof CATALOGUE

export const ERROR_CODES = Object.keys(CATALOGUE) as ErrorCode[]

/** What every function of this package throws or rejects with. The message says what was expected, given, and to do. */
export class OrderExpiryError extends Error {
  override readonly name = 'OrderExpiryError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly httpStatus: number
  /** What it rests on, for programs; over HTTP these are members of the problem. */
  readonly evidence: Readonly<Record<string, string>> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown; evidence?: Readonly<Record<string, string>> },
  ) {
    super(message, options)
    this.code = code
    this.evidence = options?.evidence
    this.retryable = CATALOGUE[code].retryable
    this.httpStatus = CATALOGUE[code].httpStatus
  }
}

/** The error itself if it is one of ours, else an `UNEXPECTED` one that keeps it as its cause. */
export function asOrderExpiryError(error: unknown): OrderExpiryError {
  if (error instanceof OrderExpiryError) return error
  return new OrderExpiryError('UNEXPECTED', error instanceof Error ? error.message : String(error), { cause: error })
}

/** What is to blame for an error of the order store; undefined for errors of anything else. */
export function blameOf(error: OrderExpiryError): Blame | undefined {
  const entry = CATALOGUE[error.code]
  return 'blames' in entry ? entry.blames : undefined
}
