import type { Check, Outcome } from '../../../src/order/order.ts'
import { MemoryStore } from '../../helpers/memory-store.ts'

export const NOW = Date.UTC(2030, 0, 1)

/** A store in memory that records what it is asked to cancel. Its clock stands still until a test sets it. */
export class RecordingStore extends MemoryStore {
  /** What its clock shows. */
  readonly clock: { now: number }
  /** Each call, with the ids it was given. */
  readonly calls: { what: 'dryRun' | 'cancel' | 'payment'; orderIds: string[] }[] = []
  /** Called before each statement that cancels. */
  beforeCancel: (checks: readonly Check[]) => void = () => {}

  constructor() {
    const clock = { now: NOW }
    super({ now: () => clock.now })
    this.clock = clock
    this.refuse('find', 'unpaidDueBefore', 'ping', 'close')
  }

  placeMany(count: number, deadline = NOW - 1_000): Check[] {
    const from = this.orders.size
    return Array.from({ length: count }, (_, n) => this.place(`order-${from + n}`, deadline))
  }

  /** An order has this status, and a deadline that has passed. */
  set(orderId: string, status: string): void {
    this.place(orderId, NOW - 1_000, status)
  }

  setNewestPayment(paidAt: number): void {
    Object.assign(this.place('paid before', NOW, 'paid'), { paidAt })
  }

  override async cancelUnpaid(checks: readonly Check[], options: { dryRun?: boolean } = {}): Promise<Outcome[]> {
    this.calls.push({ what: options.dryRun ? 'dryRun' : 'cancel', orderIds: checks.map(({ orderId }) => orderId) })
    if (!options.dryRun) this.beforeCancel(checks)
    return super.cancelUnpaid(checks, options)
  }

  override async newestPayment(): Promise<number | undefined> {
    this.calls.push({ what: 'payment', orderIds: [] })
    return super.newestPayment()
  }
}
