import type { Fact } from '../../src/commands/demo/judge.ts'
import { type ErrorCode, OrderExpiryError } from '../../src/errors.ts'
import type { Check, Outcome } from '../../src/order/order.ts'
import type { OrderStore } from '../../src/order/store.ts'
import { type MemoryOrder, MemoryStore } from '../helpers/memory-store.ts'
import { EPOCH, type Host } from './host.ts'
import type { Scheduler } from './scheduler.ts'

const WAIT_FOR_LOCK_MS = 20

/** What has become of an order. The history of them is all that is judged. */
interface Transition extends Fact {
  step: number
  by?: Host
}

interface Outage {
  code: ErrorCode
  /** The transaction is committed; only the answer is lost. */
  isCommitted: boolean
  /** How long a call hangs before it rejects. */
  hangMs: number
}

export type StoreFlaw =
  | 'ignores the deadline'
  | 'ignores the status'
  | 'ignores locks'
  | 'announces nothing'
  | 'announces after the commit'
  | 'says that somebody has just paid'

type Call = 'read' | 'ping' | 'write'

/** What fails; where it is not here, everything. */
const CONCERNS: { [Code in ErrorCode]?: readonly Call[] } = {
  STORE_READ_ONLY: ['ping', 'write'],
  STORE_LOCKED: ['write'],
  STORE_DEADLOCK: ['write'],
  STORE_SERIALIZATION: ['write'],
}

/** The orders of a shop in a {@link MemoryStore} that is far away, serves a shop's own transactions too, and can fail. */
export class SimulatedStore {
  readonly orders: MemoryStore
  readonly history: Transition[] = []
  /** Orders whose cancellation a trigger of the shop rejects. */
  readonly bad = new Set<string>()
  outage: Outage | undefined
  readonly #scheduler: Scheduler
  readonly #flaw: StoreFlaw | undefined

  constructor(options: { scheduler: Scheduler; flaw?: StoreFlaw | undefined }) {
    this.#scheduler = options.scheduler
    this.#flaw = options.flaw
    this.orders = new FlawedStore({ now: () => this.now, flaw: options.flaw })
  }

  get now(): number {
    return EPOCH + this.#scheduler.now
  }

  get all(): MemoryOrder[] {
    return [...this.orders.orders.values()]
  }

  /** The store as a process sees it. */
  connect(host: Host): OrderStore {
    const read = <T>(what: string, effect: () => T | Promise<T>) =>
      host.request(what, async () => {
        await this.#failIfOut(what === 'store.ping' ? 'ping' : 'read')
        return effect()
      })
    return {
      cancelUnpaid: (checks, { dryRun = false } = {}) =>
        dryRun
          ? read('store.dryRun', () => this.orders.dryRun(checks))
          : host.request('store.cancelUnpaid', () => this.#cancelUnpaid(checks, host)),
      find: async () => {
        throw new Error('not needed by what is simulated')
      },
      unpaidDueBefore: (instant, after, limit) =>
        read('store.page', () => this.orders.unpaidDueBefore(instant, after, limit)),
      newestPayment: () =>
        read('store.newestPayment', () =>
          this.#flaw === 'says that somebody has just paid' ? this.now : this.orders.newestPayment(),
        ),
      ping: () => read('store.ping', () => this.now),
      close: async () => {},
    }
  }

  place({ orderId, deadline, isBad }: { orderId: string; deadline: number; isBad: boolean }): void {
    this.orders.place(orderId, deadline)
    if (isBad) this.bad.add(orderId)
    this.#record({ orderId, what: 'placed', deadline })
  }

  /** A transaction of the shop that holds the row for a while. */
  async pay(orderId: string, options: { holdMs: number; isGivenUp: boolean }): Promise<void> {
    const row = await this.#lock(orderId)
    if (!row) return
    this.#record({ orderId, what: 'paying' })
    await this.#scheduler.wait(options.holdMs, orderId, 'payment commits')
    row.isLocked = false
    if (!options.isGivenUp) this.orders.pay(orderId)
    this.#record({ orderId, what: options.isGivenUp ? 'payment-given-up' : 'paid' })
  }

  async withdraw(orderId: string): Promise<void> {
    const row = await this.#lock(orderId)
    if (!row) return
    Object.assign(row, { status: 'withdrawn', isLocked: false })
    this.#record({ orderId, what: 'withdrawn' })
  }

  /** @param byMs may be negative */
  async extend(orderId: string, byMs: number): Promise<number | undefined> {
    const row = await this.#lock(orderId)
    if (!row) return undefined
    Object.assign(row, { deadline: row.deadline + byMs, isLocked: false })
    this.#record({ orderId, what: 'extended', deadline: row.deadline })
    return row.deadline
  }

  /** Waits for the lock of an unpaid order, as a shop's own UPDATE does. */
  async #lock(orderId: string): Promise<MemoryOrder | undefined> {
    const row = this.orders.orders.get(orderId)
    while (row?.isLocked) await this.#scheduler.wait(WAIT_FOR_LOCK_MS, orderId, 'shop waits')
    if (row?.status !== 'pending') return undefined
    row.isLocked = true
    return row
  }

  async #cancelUnpaid(checks: readonly Check[], host: Host): Promise<Outcome[]> {
    if (!this.outage?.isCommitted) await this.#failIfOut('write')
    const { outcomes, due, commit, rollback } = this.orders.begin(checks)
    await this.#scheduler.wait(host.latencyMs(), host.name, 'commits')
    if (!this.outage?.isCommitted && this.#isOut('write')) {
      rollback()
      await this.#failIfOut('write')
    }
    if (!host.isAlive && host.random() < 0.5) {
      rollback()
      return new Promise(() => {})
    }
    if (due.some(({ orderId }) => this.bad.has(orderId))) {
      rollback()
      throw new OrderExpiryError('STORE_REJECTED', 'a trigger of the shop says no')
    }
    commit()
    for (const { orderId } of due) {
      this.#record({ orderId, what: 'cancelled', by: host })
      this.#announce(orderId)
    }
    await this.#failIfOut('write')
    return outcomes
  }

  #announce(orderId: string): void {
    if (this.#flaw === 'announces nothing') return
    const announce = () => this.#record({ orderId, what: 'announced' })
    if (this.#flaw === 'announces after the commit')
      this.#scheduler.at(this.#scheduler.now, orderId, 'announced', announce)
    else announce()
  }

  #isOut(call: Call): boolean {
    return this.outage !== undefined && (CONCERNS[this.outage.code]?.includes(call) ?? true)
  }

  async #failIfOut(call: Call): Promise<void> {
    const { outage } = this
    if (!outage || !this.#isOut(call)) return
    await this.#scheduler.wait(outage.hangMs, 'store', outage.code)
    throw new OrderExpiryError(outage.code, 'an outage of the simulation')
  }

  #record(transition: Omit<Transition, 'step' | 'at'>): void {
    this.history.push({ step: this.#scheduler.steps, at: this.now, ...transition })
    const { orderId, what, deadline, by } = transition
    const until = deadline === undefined ? '' : `, deadline ${(deadline - EPOCH) / 1_000} s`
    this.#scheduler.note('store', `${orderId} ${what}${until}${by ? ` by ${by.name}` : ''}`)
  }
}

/** Its rule does not see what a flaw hides. */
class FlawedStore extends MemoryStore {
  readonly #flaw: StoreFlaw | undefined

  constructor(options: { now: () => number; flaw: StoreFlaw | undefined }) {
    super(options)
    this.#flaw = options.flaw
  }

  protected override seen(order: MemoryOrder): MemoryOrder {
    if (this.#flaw === 'ignores the deadline') return { ...order, deadline: 0 }
    if (this.#flaw === 'ignores the status' && order.status === 'paid') return { ...order, status: 'pending' }
    if (this.#flaw === 'ignores locks') return { ...order, isLocked: false }
    return order
  }
}
