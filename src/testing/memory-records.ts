import type { ClientRecords } from '../client/backend.ts'
import type { Check, Order, Outcome } from '../order/order.ts'
import type { DueOrder } from '../order/store.ts'
import type { PayResult } from '../stores/records.ts'

/** Times are epoch milliseconds. */
interface MemoryRecord {
  status: 'pending' | 'paid' | 'cancelled' | 'withdrawn'
  deadline?: number
  placedAt?: number
  paidAt?: number
  cancelledAt?: number
}

/** What is decided of an order in memory, where none can stand in the way of its cancellation. */
export type Decision = Exclude<Outcome, { kind: 'rejected' }>

/** The records of orders in memory, with the rules of those in Redis. Each call is done when it returns. */
export class MemoryRecords implements ClientRecords {
  readonly #records = new Map<string, MemoryRecord>()
  readonly #now: () => number

  constructor({ now }: { now: () => number }) {
    this.#now = now
  }

  async record(orders: readonly (DueOrder & { placedAt: number })[]): ReturnType<ClientRecords['record']> {
    return orders.map(({ orderId, deadline, placedAt }) => {
      const record = this.#records.get(orderId)
      if (!record || record.status === 'withdrawn') {
        this.#records.set(orderId, { ...record, status: 'pending', deadline, placedAt })
        return { result: 'recorded', deadline, status: 'pending', placedAt }
      }
      const known = { deadline: record.deadline ?? deadline, status: record.status, placedAt: record.placedAt }
      if (known.status !== 'pending') return { ...known, result: 'settled' }
      return { ...known, result: known.deadline === deadline ? 'unchanged' : 'conflict' }
    })
  }

  async move(orderId: string, deadline: number): ReturnType<ClientRecords['move']> {
    const record = this.#records.get(orderId)
    if (!record || record.status === 'withdrawn') return { result: 'missing', status: record?.status ?? '' }
    const { status } = record
    if (status !== 'pending') return { result: 'settled', status }
    const result = record.deadline === deadline ? 'unchanged' : 'moved'
    record.deadline = deadline
    return { result, status }
  }

  async withdraw(orderId: string): ReturnType<ClientRecords['withdraw']> {
    const record = this.#records.get(orderId)
    if (!record) return { result: 'missing', status: '' }
    const { status } = record
    if (status !== 'pending' && status !== 'withdrawn') return { result: 'settled', status }
    record.status = 'withdrawn'
    return { result: 'withdrawn', status }
  }

  async pay(orderId: string): Promise<PayResult> {
    const record = this.#records.get(orderId)
    const { status, paidAt = this.#now(), cancelledAt, deadline } = record ?? {}
    if (record && status === 'cancelled') {
      record.paidAt = paidAt
      const evidence = { cancelledAt: new Date(cancelledAt as number), deadline: new Date(deadline as number) }
      return { orderId, result: status, code: 'ORDER_ALREADY_CANCELLED', ...evidence }
    }
    this.#records.set(orderId, { ...record, status: 'paid', paidAt })
    return { orderId, result: record ? 'paid' : 'missing', paidAt: new Date(paidAt) }
  }

  async find(orderId: string): Promise<Order | undefined> {
    const record = this.#records.get(orderId)
    if (!record) return undefined
    const { status, deadline, paidAt, cancelledAt } = record
    return { orderId, status, isUnpaid: status === 'pending', deadline, paidAt, cancelledAt }
  }

  async cancelUnpaid({ orderId, deadline: wanted }: Check): Promise<Decision> {
    const now = this.#now()
    const record = this.#records.get(orderId)
    if (!record) return { kind: 'missing', evidence: { decidedAt: now } }
    const { status, deadline = wanted } = record
    const evidence = { decidedAt: now, status, deadline }
    if (status !== 'pending') return { kind: 'kept', status, evidence }
    if (deadline > now) return { kind: 'postponed', until: deadline, reason: 'not-due', evidence }
    Object.assign(record, { status: 'cancelled', cancelledAt: now })
    return { kind: 'cancelled', at: now, evidence }
  }
}
