import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { FoundPayment } from '../order/closings.ts'
import { LAST_MS } from '../order/deadline.ts'
import type { EventType } from '../order/event-types.ts'
import type { Check } from '../order/order.ts'
import type { NewEvent, Outbox } from '../order/outbox.ts'
import type { Settle, Settlement } from '../order/settle.ts'
import type { DecidedBy } from '../order/store.ts'
import type { GivingUp } from '../queue/giving-up.ts'
import type { GivenUpCheck } from '../queue/worker/check.ts'
import { visibleLine } from '../runtime/visible.ts'

interface Options {
  outbox: Pick<Outbox, 'add'>
  /** Types that are sent: nothing is done for the others. */
  types: readonly EventType[]
  /** Whether it is the status of cancelled orders. */
  isCancelled: (status: string) => boolean
  /** Sets the brake apart from those of other queues. */
  queueKey: string
  givingUp: Pick<GivingUp, 'begin' | 'end'>
}

/** An engagement of the brake. */
interface Engagement {
  /** Epoch milliseconds by the clock of its keeper. */
  since: number
  reason?: string | undefined
  by?: string | undefined
}

/** The events that are not written together with a change of an order; what nobody wants to hear of is undefined. */
export interface Announcements {
  /** The same, but of an order that is kept its event is in the outbox, or it fails so that its check comes again. */
  tellingKept: ((settle: Settle, decidedBy: DecidedBy) => Settle) | undefined
  /** Resolves once the events are in the outbox; rejects if they may not be. */
  tellGivenUp: ((checks: readonly GivenUpCheck[]) => Promise<void>) | undefined
  /** To be called for each of them once it is in the failed set: if it is given up again, that is another event. */
  endGivenUp: ((jobId: string) => Promise<void>) | undefined
  tellEngaged: ((engagement: Engagement) => Promise<void>) | undefined
  tellFound: ((found: FoundPayment) => Promise<void>) | undefined
}

export function createAnnouncements({ outbox, types, isCancelled, queueKey, givingUp }: Options): Announcements {
  const wanted = <T>(type: EventType, tell: T) => (types.includes(type) ? tell : undefined)
  const isTold = (settlement: Settlement) => settlement.kind === 'kept' && !isCancelled(settlement.status)
  const tellKept = async (checks: readonly Check[], settlements: Settlement[], decidedBy: DecidedBy) => {
    const kept = checks.flatMap((check, n) => {
      const settlement = settlements[n] as Settlement
      return isTold(settlement) ? [eventOfKept(check, settlement, decidedBy)] : []
    })
    try {
      if (kept.length > 0) await outbox.add(kept)
      return settlements
    } catch (cause) {
      const error = notWritten(cause)
      return settlements.map((one): Settlement => (isTold(one) ? { kind: 'failed', error } : one))
    }
  }
  return {
    tellingKept: wanted('order.kept', (settle: Settle, decidedBy: DecidedBy): Settle => {
      return async (checks) => tellKept(checks, await settle(checks), decidedBy)
    }),
    tellGivenUp: wanted('order.check_failed', async (checks: readonly GivenUpCheck[]) => {
      const marks = await Promise.all(checks.map(({ jobId }) => givingUp.begin(jobId)))
      await outbox.add(checks.map((check, n) => eventOfGivenUp(check, marks[n] as string)))
    }),
    endGivenUp: wanted('order.check_failed', (jobId: string) => givingUp.end(jobId)),
    tellFound: wanted('order.payment_found', (found: FoundPayment) => outbox.add([eventOfFound(found)])),
    tellEngaged: wanted('brake.engaged', (engagement: Engagement) =>
      outbox.add([eventOfEngagement(engagement, queueKey)]),
    ),
  }
}

function eventOfKept({ orderId, deadline: wanted }: Check, settlement: Settlement, decidedBy: DecidedBy): NewEvent {
  const { decidedAt, deadline = wanted, status, paid } = (settlement as Settlement & { kind: 'kept' }).evidence
  const times = { at: timeOf(decidedAt), deadline: timeOf(deadline) }
  const data = { ...times, ...(status && { status }), ...(paid && { paid }), decidedBy }
  return { type: 'order.kept', orderId, key: `${deadline}`, data }
}

function eventOfGivenUp({ orderId = '', jobId, deadline, at, error }: GivenUpCheck, mark: string): NewEvent {
  const { code, message } = error
  const times = { at: timeOf(at), ...(deadline !== undefined && { deadline: timeOf(deadline) }) }
  const data = { ...times, jobId: visibleLine(jobId), code, reason: visibleLine(message) }
  return { type: 'order.check_failed', orderId, key: mark, data }
}

function eventOfFound({ orderId, deadline, at, payment, verdict }: FoundPayment): NewEvent {
  const { reference, method, amount } = payment
  const times = { at: timeOf(at), deadline: timeOf(deadline) }
  const data = { ...times, payment: reference, ...(method && { method }), ...(amount && { amount }), verdict }
  return { type: 'order.payment_found', orderId, key: reference, data }
}

function eventOfEngagement({ since, reason, by }: Engagement, queueKey: string): NewEvent {
  const data = { at: timeOf(since), ...(reason && { reason }), ...(by && { by }) }
  return { type: 'brake.engaged', orderId: '', key: `${queueKey} ${since}`, data }
}

function timeOf(ms: number): string {
  return new Date(Math.max(-LAST_MS, Math.min(LAST_MS, ms))).toISOString()
}

/** It says nothing about the order, whose check is only to come again. */
function notWritten(cause: unknown): OrderExpiryError {
  const message = `the event of a kept order could not be written: ${asOrderExpiryError(cause).message}`
  return new OrderExpiryError('STORE_UNAVAILABLE', message, { cause })
}
