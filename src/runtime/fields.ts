import { type ErrorCode, OrderExpiryError } from '../errors.ts'

/** What the fields of an object may be. */
export interface Fields {
  /** Whose fields they are. */
  of: string
  known: readonly string[]
  /** What each is looked for under, where that is not its name. */
  meant: Readonly<Record<string, RegExp>>
  code: ErrorCode
}

/**
 * Refuses a field that is not known: ignored, it would leave the caller with a default and not say so.
 *
 * @throws {OrderExpiryError} of `code`, with the field that was probably meant
 */
export function refuseUnknown(given: object, { of, known, meant, code }: Fields): void {
  for (const name in given) {
    if (known.includes(name)) continue
    const isNear = (field: string) => plain(field) === plain(name) || meant[field]?.test(name)
    const near = known.find((field) => !(field in given) && isNear(field))
    const advice = near === undefined ? `expected ${known.join(', ')}` : `did you mean ${near}?`
    throw new OrderExpiryError(code, `${of}: unknown field ${JSON.stringify(name.slice(0, 64))}; ${advice}`)
  }
}

/** A name however it is written: `order_id` is `orderId`. */
function plain(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase()
}
