/**
 * The catalogue of every error order-expiry reports. The code is the public name: callers, job failures and HTTP
 * answers are told apart by it, never by the wording.
 *
 * `retryable`: the same call can succeed later without anything being changed by hand.
 */
const CATALOGUE = {
  INVALID_ORDER_ID: { retryable: false, httpStatus: 400 },
  INVALID_DEADLINE: { retryable: false, httpStatus: 400 },
  INVALID_OPTIONS: { retryable: false, httpStatus: 400 },
  INVALID_SETTINGS: { retryable: false, httpStatus: 500 },
  INVALID_JOB: { retryable: false, httpStatus: 400 },
  UNKNOWN_JOB: { retryable: false, httpStatus: 400 },
  NOT_RECORDED_HERE: { retryable: false, httpStatus: 409 },
  CLOSED: { retryable: false, httpStatus: 503 },
  REDIS_UNAVAILABLE: { retryable: true, httpStatus: 503 },
  REDIS_REFUSED: { retryable: false, httpStatus: 500 },
  EMBEDDED_REDIS_FAILED: { retryable: false, httpStatus: 500 },
  STORE_UNAVAILABLE: { retryable: true, httpStatus: 503 },
  STORE_READ_ONLY: { retryable: true, httpStatus: 503 },
  STORE_LOCKED: { retryable: true, httpStatus: 503 },
  STORE_DEADLOCK: { retryable: true, httpStatus: 503 },
  STORE_SERIALIZATION: { retryable: true, httpStatus: 503 },
  STORE_UNDECIDED: { retryable: true, httpStatus: 503 },
  STORE_BUSY: { retryable: true, httpStatus: 503 },
  STORE_REFUSED: { retryable: false, httpStatus: 500 },
  STORE_MISMATCH: { retryable: false, httpStatus: 500 },
  STORE_REJECTED: { retryable: false, httpStatus: 500 },
  OUTBOX_MISSING: { retryable: false, httpStatus: 500 },
  HTTP_LISTEN_FAILED: { retryable: false, httpStatus: 500 },
  STOP_INCOMPLETE: { retryable: false, httpStatus: 500 },
  UNEXPECTED: { retryable: false, httpStatus: 500 },
} as const satisfies Record<string, { retryable: boolean; httpStatus: number }>

export type ErrorCode = keyof typeof CATALOGUE

export const ERROR_CODES = Object.keys(CATALOGUE) as ErrorCode[]

/** What every function of this package throws or rejects with. The message says what was expected, given, and to do. */
export class OrderExpiryError extends Error {
  override readonly name = 'OrderExpiryError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly httpStatus: number

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    this.retryable = CATALOGUE[code].retryable
    this.httpStatus = CATALOGUE[code].httpStatus
  }
}

/** The error itself if it is one of ours, else an `UNEXPECTED` one that keeps it as its cause. */
export function asOrderExpiryError(error: unknown): OrderExpiryError {
  if (error instanceof OrderExpiryError) return error
  return new OrderExpiryError('UNEXPECTED', error instanceof Error ? error.message : String(error), { cause: error })
}
