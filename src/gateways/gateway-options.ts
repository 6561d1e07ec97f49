import type { Clock } from '../runtime/clock.ts'

/** What a gateway is made from, beside its own settings. */
export interface GatewayOptions {
  clock: Clock
  /** Of this package. */
  version: string
  /** An authorised payment is voided and counts as closed. Default: it is left, and the verdict is `authorised`. */
  voidAuthorised?: boolean
}
