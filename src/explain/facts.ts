import type { OrderExpiryError } from '../errors.ts'
import type { Order } from '../order/order.ts'
import type { KeptEvent } from '../order/store.ts'
import type { FinishedCheck } from '../queue/contract.ts'
import type { CheckFacts } from '../queue/view/check-facts.ts'
import type { OrderRecords } from '../queue/view/order-records.ts'
import type { QueueHolds } from '../queue/view/queue-view.ts'

/** What is known of one order. Times are epoch milliseconds. */
export interface OrderFacts extends OrderRecords {
  orderId: string
  /** By the clock of the order store, as far as that is known: it decides. */
  now: number
  /** How far that clock is ahead of ours; undefined: not known. */
  storeAheadMs?: number | undefined
  order: Order | undefined
  /** Those that the store still has; undefined: it cannot tell, or keeps none. */
  events?: readonly KeptEvent[] | undefined
  holds?: Holds
  /** The status that a cancellation writes, where there is one. */
  cancelledStatus?: string | undefined
  /** What could not be asked, and why. */
  missing?: MissingParts
}

/** What keeps all orders from being cancelled now. */
type Holds = Partial<QueueHolds> & { dryRun?: boolean }

export type MissingParts = Partial<Record<'queue' | 'holds' | 'store', OrderExpiryError>>

/** A decision on an order, with its evidence. */
export interface Decided extends FinishedCheck {
  by: 'check' | 'sweep'
}

/** Why an order was not settled when it was last looked at. */
export interface Obstacle {
  /** When a check met it, or a sweep met it first: sweeps note only what changes. */
  at: number
  by: Decided['by']
  /** The reason of a postponement, or the code of an error. */
  why: string
  message?: string | undefined
}

/** All decisions that are kept, by checks and by sweeps, the oldest first. */
export function decisionsOf({ checks, swept }: OrderRecords): Decided[] {
  const checked = checks.flatMap(({ finished }): Decided[] => (finished ? [{ ...finished, by: 'check' }] : []))
  const bySweep = swept.flatMap((note): Decided[] => ('outcome' in note ? [{ ...note, by: 'sweep' }] : []))
  return [...checked, ...bySweep].sort((a, b) => Date.parse(a.decidedAt) - Date.parse(b.decidedAt))
}

/** What stood in the way when the order was last looked at, unless it has been decided since. */
export function lastObstacleOf(facts: OrderRecords): Obstacle | undefined {
  const decidedAt = Math.max(...decisionsOf(facts).map((decided) => Date.parse(decided.decidedAt)), 0)
  const bySweep = facts.swept.flatMap((note): Obstacle[] =>
    'why' in note ? [{ at: Date.parse(note.at), by: 'sweep', why: note.why, message: note.message }] : [],
  )
  return [...facts.checks.flatMap(obstaclesOf), ...bySweep]
    .filter(({ at }) => at >= decidedAt)
    .reduce<Obstacle | undefined>((last, next) => (last && last.at > next.at ? last : next), undefined)
}

function obstaclesOf({ notes, failedReason, state }: CheckFacts): Obstacle[] {
  if (state === 'finished') return []
  return notes.flatMap(({ at, code, what }): Obstacle[] => {
    const why = /: ([\w-]+)$/.exec(what)?.[1]
    if (at === undefined || why === undefined) return []
    if (code === 'CHECK_POSTPONED') return [{ at, by: 'check', why }]
    return code === 'CHECK_RETRIED' ? [{ at, by: 'check', why, message: failedReason?.replace(`${why}: `, '') }] : []
  })
}

/** Of the order, as the store has it or, where it does not tell, its check or a decision. */
export function deadlineIn(facts: Pick<OrderFacts, 'order' | 'checks' | 'swept'>): number | undefined {
  const known = facts.order?.deadline ?? facts.checks.find(({ deadline }) => deadline !== undefined)?.deadline
  const decided = decisionsOf(facts).at(-1)
  return known ?? (decided && Date.parse(decided.deadline))
}

/** Whether a check of the order is under way, or to come. */
export function isToBeChecked({ checks }: OrderRecords): boolean {
  return checks.some(({ state }) => state !== 'finished' && state !== 'failed')
}

/** Whether it is the status that a cancellation writes. Columns may be filled up with blanks, or not tell upper from lower case. */
export function isCancelledStatus(status: string | undefined, cancelledStatus: string | undefined): boolean {
  return status?.trim().toLowerCase() === (cancelledStatus?.toLowerCase() || false)
}

/** A status behind what it tells; nothing for orders that have none. */
export function bracketed(status: string | undefined): string {
  return status ? ` (${status})` : ''
}

/** For people. */
export function whenLookedAt({ by, decidedAt }: Pick<Decided, 'by' | 'decidedAt'>): string {
  return `when ${by === 'check' ? 'its check' : 'a sweep'} came, at ${decidedAt}`
}
