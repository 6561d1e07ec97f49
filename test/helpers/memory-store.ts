import { OrderExpiryError } from '../../src/errors.ts'
import type { Check, Evidence, Order, Outcome } from '../../src/order/order.ts'
import type { Backlog, DueOrder, KeptEvent, OrderStore, SetAside } from '../../src/order/store.ts'

const LOCKED_RETRY_MS = 300
const DAY_MS = 86_400_000
/** A deadline before it cannot be meant. */
const FIRST_DEADLINE = Date.UTC(2001, 0)

export interface MemoryOrder {
  orderId: string
  /** `pending` is unpaid. */
  status: string
  deadline: number
  paidAt?: number
  cancelledAt?: number
  isLocked: boolean
}

/** A batch that has been decided and not yet committed. The orders that it cancels are locked until it ends. */
interface Transaction {
  outcomes: Outcome[]
  due: readonly MemoryOrder[]
  commit(): void
  rollback(): void
}

/** An order store in memory, with the semantics of the port, by a clock of its own. */
export class MemoryStore implements OrderStore {
  readonly orders = new Map<string, MemoryOrder>()
  /** What has been announced, oldest first. */
  readonly events: { orderId: string; id: string; type: string; at: number }[] = []
  readonly #now: () => number
  readonly #firstSeenAt: number | undefined

  /**
   * @param options.now its clock. Default: that of this machine
   * @param options.firstSeenAt when the daemon first saw the orders. Undefined: none is ever set aside
   */
  constructor(options: { now?: () => number; firstSeenAt?: number } = {}) {
    this.#now = options.now ?? Date.now
    this.#firstSeenAt = options.firstSeenAt
  }

  get now(): number {
    return this.#now()
  }

  place(orderId: string, deadline: number, status = 'pending'): MemoryOrder {
    const order = { orderId, status, deadline, isLocked: false }
    this.orders.set(orderId, order)
    return order
  }

  /** Marks an unpaid order as paid. @returns whether it has */
  pay(orderId: string): boolean {
    const order = this.orders.get(orderId)
    if (order?.status !== 'pending') return false
    Object.assign(order, { status: 'paid', paidAt: this.now })
    return true
  }

  count(status: string): number {
    return [...this.orders.values()].filter((order) => order.status === status).length
  }

  async cancelUnpaid(checks: readonly Check[], { dryRun = false }: { dryRun?: boolean } = {}): Promise<Outcome[]> {
    if (dryRun) return this.dryRun(checks)
    const { outcomes, commit } = this.begin(checks)
    commit()
    return outcomes
  }

  async find(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    return orderIds.map((id) => {
      const order = this.orders.get(id)
      if (!order) return undefined
      const { orderId, status, deadline, paidAt, cancelledAt } = order
      const setAside = this.#whySetAside(order)
      return { orderId, status, isUnpaid: status === 'pending', deadline, paidAt, cancelledAt, setAside }
    })
  }

  async unpaidDueBefore(
    instant: number,
    after: DueOrder | undefined,
    limit: number,
    { backlog = false }: { backlog?: boolean } = {},
  ): Promise<DueOrder[]> {
    return [...this.orders.values()]
      .filter(({ status, deadline }) => status === 'pending' && deadline <= instant)
      .filter((order) => this.#whySetAside(order) === (backlog ? 'backlog' : undefined))
      .filter((order) => !after || compare(after, order) < 0)
      .sort(compare)
      .slice(0, limit)
      .map(({ orderId, deadline }) => ({ orderId, deadline }))
  }

  async setAside(): Promise<SetAside> {
    const all = [...this.orders.values()].sort(compare)
    const backlog = all.filter((order) => this.#whySetAside(order) === 'backlog')
    const unreadable = all.filter((order) => this.#whySetAside(order) === 'unreadable').map(({ orderId }) => orderId)
    const [oldest] = backlog
    return {
      backlog: { orders: backlog.length, ...(oldest && { oldest: oldest.deadline }) },
      unreadable: { orders: unreadable.length, examples: unreadable.slice(0, 5) },
    }
  }

  async newestPayment(): Promise<number | undefined> {
    const times = [...this.orders.values()].flatMap(({ paidAt }) => paidAt ?? [])
    return times.length > 0 ? Math.max(...times) : undefined
  }

  async outbox(): Promise<Backlog> {
    const [oldest] = this.events
    return { events: this.events.length, oldestAgeMs: oldest && this.now - oldest.at }
  }

  async eventsOf(orderId: string): Promise<KeptEvent[]> {
    return this.events.filter((event) => event.orderId === orderId).map(({ id, type, at }) => ({ id, type, at }))
  }

  async ping(): Promise<number> {
    return this.now
  }

  async close(): Promise<void> {}

  /** From now on it refuses these calls: what is tested has no business with them. */
  refuse(...calls: (keyof OrderStore)[]): this {
    for (const call of calls) {
      Object.assign(this, { [call]: () => Promise.reject(new Error(`${call} is not to be called`)) })
    }
    return this
  }

  /** What a batch would do, without a lock. */
  dryRun(checks: readonly Check[]): Outcome[] {
    return checks.map(({ orderId }) => this.#decide(orderId, { takesLocks: false }))
  }

  /** Decides a batch and locks what it is about to cancel. */
  begin(checks: readonly Check[]): Transaction {
    const due = new Set<MemoryOrder>()
    const outcomes = checks.map(({ orderId }): Outcome => {
      const order = this.orders.get(orderId)
      if (order && due.has(order)) {
        const evidence = { decidedAt: this.now, status: 'cancelled', deadline: order.deadline }
        return { kind: 'kept', status: 'cancelled', evidence }
      }
      const outcome = this.#decide(orderId, { takesLocks: true })
      if (order && outcome.kind === 'cancelled') {
        due.add(order)
        order.isLocked = true
      }
      return outcome
    })
    const unlock = () => {
      for (const order of due) order.isLocked = false
    }
    return {
      outcomes,
      due: [...due],
      rollback: unlock,
      commit: () => {
        unlock()
        for (const order of due) this.#cancel(order)
      },
    }
  }

  /** An order as the rule sees it. A flawed store overrides it. */
  protected seen(order: MemoryOrder): MemoryOrder {
    return order
  }

  #whySetAside({ status, deadline }: MemoryOrder): 'backlog' | 'unreadable' | undefined {
    if (status !== 'pending' || this.#firstSeenAt === undefined) return undefined
    if (deadline < FIRST_DEADLINE) return 'unreadable'
    return deadline < this.#firstSeenAt - DAY_MS ? 'backlog' : undefined
  }

  #cancel(order: MemoryOrder): void {
    Object.assign(order, { status: 'cancelled', cancelledAt: this.now })
    const id = `${this.events.length + 1}`
    this.events.push({ orderId: order.orderId, id, type: 'order.cancelled', at: this.now })
  }

  #decide(orderId: string, { takesLocks }: { takesLocks: boolean }): Outcome {
    const { now } = this
    const order = this.orders.get(orderId)
    if (!order) return { kind: 'missing', evidence: { decidedAt: now } }
    const evidence: Evidence = { decidedAt: now, status: order.status, deadline: order.deadline }
    const { status, deadline, isLocked } = this.seen(order)
    if (status !== 'pending') return { kind: 'kept', status, evidence }
    if (this.#whySetAside(order) === 'unreadable') {
      return { kind: 'rejected', error: new OrderExpiryError('STORE_REJECTED', 'its deadline is unreadable'), evidence }
    }
    if (deadline > now) return { kind: 'postponed', until: deadline, reason: 'not-due', evidence }
    if (isLocked && takesLocks) return { kind: 'postponed', until: now + LOCKED_RETRY_MS, reason: 'locked', evidence }
    return { kind: 'cancelled', at: now, evidence }
  }
}

function compare(a: DueOrder, b: DueOrder): number {
  return a.deadline - b.deadline || (a.orderId < b.orderId ? -1 : a.orderId > b.orderId ? 1 : 0)
}
