import { STATUS_CODES } from 'node:http'
import { type ErrorCode, OrderExpiryError } from '../../errors.ts'

/** The codes of errors that the API answers with, and when. */
const WHEN = {
  INVALID_REQUEST: 'The request is no HTTP, no JSON, or has fields that are not expected.',
  INVALID_ORDER_ID: 'The order id cannot be one.',
  INVALID_DEADLINE: 'The deadline or time-out is missing, cannot be read, or is too early or too late.',
  UNAUTHORIZED: 'The token is missing, wrong or has expired.',
  FORBIDDEN: 'The token lacks the scope, API_TOKENS is not set where others could ask, or a page of another site asks.',
  NOT_FOUND: 'There is no such path.',
  ORDER_UNKNOWN: 'There is no such order, and no check for it.',
  METHOD_NOT_ALLOWED: 'The path takes other methods, which `Allow` lists.',
  REQUEST_TIMEOUT: 'The request took more than 10 s to arrive.',
  DEADLINE_CONFLICT: 'The order is scheduled for another deadline; PATCH moves it.',
  ORDER_SETTLED: 'The order is cancelled, paid or otherwise no longer unpaid.',
  ORDER_ALREADY_CANCELLED:
    'The order was cancelled before it was paid: give the money back. `cancelledAt` and `deadline` say when.',
  CHECK_UNDER_WAY: 'The order is being checked at this moment; look again.',
  NOT_RECORDED_HERE: 'Your own table is the record: mark the row paid there.',
  BODY_TOO_LARGE: 'The body is larger than 1 MiB.',
  UNSUPPORTED_MEDIA_TYPE: 'The body is not `application/json` in UTF-8, or is compressed.',
  RATE_LIMITED: 'Too many requests of this token, or too many wrong tokens from this address.',
  STOPPING: 'This process is about to end; another one answers.',
  CLOSED: 'This process has closed its connections and is about to end.',
  REDIS_UNAVAILABLE: 'Redis cannot be used now.',
  REDIS_REFUSED: 'Redis refuses the command, such as by its access list.',
  STORE_UNAVAILABLE: 'The order store cannot be used now.',
  STORE_READ_ONLY: 'The order store takes no writes now.',
  STORE_LOCKED: 'A lock in the order store is in the way.',
  STORE_DEADLOCK: 'The order store ended a deadlock.',
  STORE_SERIALIZATION: 'The order store rolled back; the same again can succeed.',
  STORE_BUSY: 'The order store is overloaded or too slow.',
  STORE_REFUSED: 'The order store refuses access.',
  STORE_MISMATCH: 'The tables are not as the settings say.',
  STORE_REJECTED: 'The order store cannot take this order.',
  UNEXPECTED: 'A fault of order-expiry: see the log.',
} as const satisfies Partial<Record<ErrorCode, string>>

export type ApiCode = keyof typeof WHEN
export const API_CODES = Object.keys(WHEN) as [ApiCode, ...ApiCode[]]

/** What any operation can be answered with. */
const ALWAYS: readonly ApiCode[] = [
  'INVALID_REQUEST',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'REQUEST_TIMEOUT',
  'RATE_LIMITED',
  'STOPPING',
  'CLOSED',
  'REDIS_UNAVAILABLE',
  'REDIS_REFUSED',
  'UNEXPECTED',
]
/** What an operation with a body can be, as well. */
export const OF_BODY = ['BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const satisfies ApiCode[]
/** What an operation can be that reads the order store. */
export const OF_STORE = API_CODES.filter((code) => code.startsWith('STORE_'))

const HEADERS: Record<number, object> = {
  401: { 'WWW-Authenticate': { description: 'How to come in (RFC 9110).', type: 'string' } },
  429: { 'Retry-After': { description: 'Seconds.', type: 'integer' } },
  503: { 'Retry-After': { description: 'Seconds.', type: 'integer' } },
}

/** The answers of an operation with these errors, beside those that any operation has, for `/openapi.json`. */
export function problemAnswers(codes: readonly ApiCode[]): Record<string, object> {
  const answers: Record<string, { description: string; headers?: object; content: object }> = {}
  const possible = API_CODES.filter((code) => ALWAYS.includes(code) || codes.includes(code))
  for (const status of new Set(possible.map(statusOf))) {
    const of = possible.filter((code) => statusOf(code) === status)
    answers[status] = {
      description: of.map((code) => `\`${code}\`: ${WHEN[code]}`).join('\n\n'),
      ...(HEADERS[status] && { headers: HEADERS[status] }),
      content: {
        'application/problem+json': {
          schema: { $ref: '#/components/schemas/Problem' },
          examples: Object.fromEntries(of.map((code) => [code, { value: exampleOf(code) }])),
        },
      },
    }
  }
  return answers
}

function statusOf(code: ApiCode): number {
  return new OrderExpiryError(code, '').httpStatus
}

function exampleOf(code: ApiCode): object {
  const status = statusOf(code)
  return {
    type: `urn:order-expiry:error:${code}`,
    title: STATUS_CODES[status],
    status,
    detail: status < 500 ? WHEN[code] : `${code}: see the log under this request id`,
    code,
    requestId: '0c2f9d1e-6f0b-4b0e-9a51-0f6f4a1f6f4e',
    ...EVIDENCE[code],
  }
}

/** The further members of a problem, as an example has them. */
const EVIDENCE: Partial<Record<ApiCode, object>> = {
  ORDER_ALREADY_CANCELLED: {
    orderId: 'A-1001',
    cancelledAt: '2027-01-31T12:00:00.004Z',
    deadline: '2027-01-31T12:00:00.000Z',
  },
}
