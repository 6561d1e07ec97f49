import type { Fact } from '../../../src/commands/demo/judge.ts'

/** What Redis has of an order, in the end. */
export interface StoredOrder {
  status: string
  deadline: number | null
  isPaid: boolean
}

/** An entry of the stream of events. */
export interface StoredEvent {
  orderId: string
  type: string
  /** By Redis' clock. */
  at: number
}

/** What passed between the shop and the library about an order. */
export interface Told {
  /** Every deadline that the shop has asked for. */
  asked: number[]
  /** The one that the library has said it has moved the order to. */
  extendedTo?: number
  /** What the library has answered to the payment. */
  payment?: 'accepted' | 'refused'
}

interface Evidence {
  told: ReadonlyMap<string, Told>
  stored: ReadonlyMap<string, StoredOrder>
}

/**
 * What must have happened to leave what Redis has. A cancellation is as old as its event, and the deadline in force is
 * the one that the shop was told of last: what the cancelling script says of both is not asked.
 */
export function historyOf({ told, stored, events }: Evidence & { events: readonly StoredEvent[] }): Fact[] {
  const facts: Fact[] = []
  for (const [orderId, { status, deadline, isPaid }] of stored) {
    const { extendedTo, payment } = told.get(orderId) ?? {}
    facts.push({ orderId, at: 0, what: 'placed', deadline: deadline ?? undefined })
    const at = events.find((event) => event.orderId === orderId)?.at ?? 0
    if (status === 'paid' || status === 'withdrawn') facts.push({ orderId, at, what: status })
    if (status !== 'cancelled') continue
    const before = isPaid || payment === 'accepted' ? 'paid' : 'unpaid'
    facts.push({ orderId, at, what: 'cancelled', deadline: extendedTo ?? deadline ?? undefined, before })
  }
  return [...facts, ...events.map(({ orderId, at }): Fact => ({ orderId, at, what: 'announced' }))]
}

/** What the shop or a buyer was told that Redis does not bear out. */
export function brokenWords(
  evidence: Evidence & {
    /** Orders for which the library has said yes. */
    scheduled: ReadonlySet<string>
    /** The ids in the index of unpaid orders. */
    index: readonly string[]
  },
): string[] {
  const { told, stored, scheduled, index } = evidence
  const broken: string[] = []
  for (const [id, { asked, extendedTo, payment }] of told) {
    const { status = 'missing', deadline = null } = stored.get(id) ?? {}
    if (scheduled.has(id) && status === 'missing') broken.push(`I6: order ${id} was scheduled, and is not recorded`)
    if (payment === 'accepted' && status !== 'paid')
      broken.push(`I1: order ${id} is ${status}, its payment was accepted`)
    if (payment === 'refused' && status !== 'cancelled') {
      broken.push(`I1: order ${id} is ${status}, its payment was refused because it was cancelled`)
    }
    if (deadline !== null && !(extendedTo === undefined ? asked : [extendedTo]).includes(deadline)) {
      broken.push(`I4: order ${id} has the deadline ${deadline}, asked for ${asked.join(', ')}`)
    }
  }
  const pending = [...stored].filter(([, { status }]) => status === 'pending').map(([id]) => id)
  const wrong = [...index.filter((id) => !pending.includes(id)), ...pending.filter((id) => !index.includes(id))]
  if (wrong.length > 0) broken.push(`I6: the index of unpaid orders is wrong about ${wrong.join(', ')}`)
  return broken
}
