import type { Check, Outcome } from '../../../src/order/order.ts'
import type { OrderStore } from '../../../src/order/store.ts'

export const NOW = Date.UTC(2030, 0, 1)

/** An order store in memory, by a clock of its own. As real ones, a dry run sees an order that stands twice as due twice. */
export class FakeStore implements OrderStore {
  now = NOW
  readonly orders = new Map<string, { status: string; deadline: number }>()
  newest: number | undefined
  /** Each call, with the ids it was given. */
  readonly calls: { what: 'judge' | 'cancel' | 'payment'; orderIds: string[] }[] = []
  /** Called before each statement that cancels. */
  beforeCancel: (checks: readonly Check[]) => void = () => {}

  place(count: number, deadline = NOW - 1_000): Check[] {
    const from = this.orders.size
    const checks = Array.from({ length: count }, (_, n) => ({ orderId: `order-${from + n}`, deadline }))
    for (const { orderId } of checks) this.orders.set(orderId, { status: 'pending', deadline })
    return checks
  }

  set(orderId: string, status: string): void {
    this.orders.set(orderId, { status, deadline: NOW - 1_000 })
  }

  count(status: string): number {
    return [...this.orders.values()].filter((order) => order.status === status).length
  }

  async cancelUnpaid(checks: readonly Check[], options: { dryRun?: boolean } = {}): Promise<Outcome[]> {
    const orderIds = checks.map(({ orderId }) => orderId)
    this.calls.push({ what: options.dryRun ? 'judge' : 'cancel', orderIds })
    if (!options.dryRun) this.beforeCancel(checks)
    return checks.map(({ orderId }): Outcome => {
      const order = this.orders.get(orderId)
      if (!order) return { kind: 'missing', evidence: { decidedAt: this.now } }
      const { status, deadline } = order
      const evidence = { decidedAt: this.now, status, deadline }
      if (status !== 'pending') return { kind: 'kept', status, evidence }
      if (deadline > this.now) return { kind: 'postponed', until: deadline, reason: 'not-due', evidence }
      if (!options.dryRun) order.status = 'cancelled'
      return { kind: 'cancelled', at: this.now, evidence }
    })
  }

  async newestPayment(): Promise<number | undefined> {
    this.calls.push({ what: 'payment', orderIds: [] })
    return this.newest
  }

  find = () => Promise.reject(new Error('not to be asked'))
  unpaidDueBefore = () => Promise.reject(new Error('not to be asked'))
  ping = () => Promise.reject(new Error('not to be asked'))
  close = () => Promise.reject(new Error('not to be asked'))
}
