import { OrderExpiryError } from '../errors.ts'

const MAX_BYTES = 200
const WANTED_ID = 'a string or a safe integer'

/**
 * The id exactly as the shop writes it: 1 to 200 bytes (UTF-8) without control characters, or a safe integer.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID
 */
export function parseOrderId(input: unknown): string {
  if (typeof input === 'number') {
    if (Number.isSafeInteger(input)) return String(input)
    throw invalid('a safe integer', String(input))
  }
  if (input === null) throw invalid(WANTED_ID, 'null')
  if (typeof input !== 'string') throw invalid(WANTED_ID, Array.isArray(input) ? 'an array' : typeof input)
  if (input === '') throw invalid('at least one character', 'an empty string')
  const bytes = Buffer.byteLength(input)
  if (bytes > MAX_BYTES) throw invalid(`at most ${MAX_BYTES} bytes`, `${bytes} bytes`)
  if (/\p{Cc}/u.test(input)) throw invalid('no control characters', showControls(input))
  if (!input.isWellFormed()) throw invalid('valid Unicode', 'a lone surrogate')
  return input
}

/** JSON leaves some control characters as they are, which a terminal would obey. */
function showControls(text: string): string {
  return JSON.stringify(text).replace(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function invalid(expected: string, given: string): OrderExpiryError {
  return new OrderExpiryError('INVALID_ORDER_ID', `order id: expected ${expected}, given ${given}`)
}
