import { OrderExpiryError } from '../errors.ts'

const MAX_BYTES = 200
const WANTED_ID = 'a string or a safe integer'

/**
 * The id exactly as the shop writes it: 1 to 200 bytes (UTF-8) without control characters, or a safe integer.
 *
 * @param name what the caller calls it, for the text of the error
 * @throws {OrderExpiryError} INVALID_ORDER_ID
 */
export function parseOrderId(input: unknown, name = 'orderId'): string {
  const fault = faultOf(input)
  if (fault) throw new OrderExpiryError('INVALID_ORDER_ID', `${name}: ${fault}`)
  return String(input)
}

/** What was expected and given; undefined: it is an order id. */
function faultOf(input: unknown): string | undefined {
  if (typeof input === 'number') {
    return Number.isSafeInteger(input) ? undefined : fault('a safe integer', String(input))
  }
  if (input === null) return fault(WANTED_ID, 'null')
  if (typeof input !== 'string') return fault(WANTED_ID, Array.isArray(input) ? 'an array' : typeof input)
  if (input === '') return fault('at least one character', 'an empty string')
  const bytes = Buffer.byteLength(input)
  if (bytes > MAX_BYTES) return fault(`at most ${MAX_BYTES} bytes`, `${bytes} bytes`)
  if (/\p{Cc}/u.test(input)) return fault('no control characters', showControls(input))
  if (!input.isWellFormed()) return fault('valid Unicode', 'a lone surrogate')
  return undefined
}

/** JSON leaves some control characters as they are, which a terminal would obey. */
function showControls(text: string): string {
  return JSON.stringify(text).replace(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function fault(expected: string, given: string): string {
  return `expected ${expected}, given ${given}`
}
