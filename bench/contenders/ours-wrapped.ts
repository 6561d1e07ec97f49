import type { Contender } from '../contender.ts'
import { ours, startOurs } from './ours.ts'

/** order-expiry as it falls back to BullMQ's own scripts where it does not know the version of BullMQ. */
export const oursWrapped: Contender = {
  ...ours,
  name: 'ours-wrapped',
  advice: "order-expiry with CLAIMS=wrapped: BullMQ's own scripts, many in one call, instead of scripts of its own.",
  start: (servers) => startOurs(servers, { settings: { CLAIMS: 'wrapped' } }),
}
