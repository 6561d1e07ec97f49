import { type ErrorCode, OrderExpiryError } from '../../src/errors.ts'
import type { Check, Evidence, Outcome } from '../../src/order/order.ts'
import type { DueOrder, OrderStore } from '../../src/order/store.ts'
import { EPOCH, type Host } from './host.ts'
import type { Scheduler } from './scheduler.ts'

const LOCKED_RETRY_MS = 300
const WAIT_FOR_LOCK_MS = 20

/** What has become of an order. The history of them is all that is judged. Times are by the store's clock. */
export interface Transition {
  step: number
  at: number
  orderId: string
  what: 'placed' | 'extended' | 'paying' | 'paid' | 'payment-given-up' | 'withdrawn' | 'cancelled' | 'announced'
  deadline?: number
  by?: Host
}

export interface Row {
  orderId: string
  status: 'pending' | 'paid' | 'withdrawn' | 'cancelled'
  deadline: number
  placedAt: number
  /** A trigger of the shop rejects its cancellation. */
  isBad: boolean
  isLocked: boolean
}

export interface Outage {
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

/** The orders of a shop, with the semantics of the port: each batch a transaction with row locks, which can fail. */
export class FakeStore {
  readonly rows = new Map<string, Row>()
  readonly history: Transition[] = []
  outage: Outage | undefined
  readonly #scheduler: Scheduler
  readonly #flaw: StoreFlaw | undefined
  #newestPayment: number | undefined

  constructor(options: { scheduler: Scheduler; flaw?: StoreFlaw | undefined }) {
    this.#scheduler = options.scheduler
    this.#flaw = options.flaw
  }

  get now(): number {
    return EPOCH + this.#scheduler.now
  }

  /** The store as a process sees it. */
  connect(host: Host): OrderStore {
    const read = <T>(what: string, effect: () => T) =>
      host.request(what, async () => {
        await this.#failIfOut(what === 'store.ping' ? 'ping' : 'read')
        return effect()
      })
    return {
      cancelUnpaid: (checks, { dryRun = false } = {}) =>
        dryRun
          ? read('store.judge', () => this.#judge(checks, { takesLocks: false }))
          : host.request('store.cancelUnpaid', () => this.#cancelUnpaid(checks, host)),
      find: async () => {
        throw new Error('not needed by what is simulated')
      },
      unpaidDueBefore: (instant, after, limit) => read('store.page', () => this.#page(instant, after, limit)),
      newestPayment: () =>
        read('store.newestPayment', () =>
          this.#flaw === 'says that somebody has just paid' ? this.now : this.#newestPayment,
        ),
      ping: () => read('store.ping', () => this.now),
      close: async () => {},
    }
  }

  place(order: { orderId: string; deadline: number; isBad: boolean }): void {
    this.rows.set(order.orderId, { ...order, status: 'pending', placedAt: this.now, isLocked: false })
    this.#record({ orderId: order.orderId, what: 'placed', deadline: order.deadline })
  }

  /** A transaction of the shop that holds the row for a while. */
  async pay(orderId: string, options: { holdMs: number; isGivenUp: boolean }): Promise<void> {
    const row = await this.#lock(orderId)
    if (!row) return
    this.#record({ orderId, what: 'paying' })
    await this.#scheduler.wait(options.holdMs, orderId, 'payment commits')
    row.isLocked = false
    if (!options.isGivenUp) {
      row.status = 'paid'
      this.#newestPayment = this.now
    }
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
  async #lock(orderId: string): Promise<Row | undefined> {
    const row = this.rows.get(orderId)
    while (row?.isLocked) await this.#scheduler.wait(WAIT_FOR_LOCK_MS, orderId, 'shop waits')
    if (row?.status !== 'pending') return undefined
    row.isLocked = true
    return row
  }

  async #cancelUnpaid(checks: readonly Check[], host: Host): Promise<Outcome[]> {
    if (!this.outage?.isCommitted) await this.#failIfOut('write')
    const outcomes = this.#judge(checks, { takesLocks: true })
    const due = checks.flatMap(({ orderId }, n) =>
      outcomes[n]?.kind === 'cancelled' ? [this.rows.get(orderId) as Row] : [],
    )
    await this.#scheduler.wait(host.latencyMs(), host.name, 'commits')
    for (const row of due) row.isLocked = false
    if (!this.outage?.isCommitted) await this.#failIfOut('write')
    if (!host.isAlive && host.random() < 0.5) return new Promise(() => {}) // rolled back
    if (due.some(({ isBad }) => isBad)) throw new OrderExpiryError('STORE_REJECTED', 'a trigger of the shop says no')
    for (const row of due) {
      row.status = 'cancelled'
      this.#record({ orderId: row.orderId, what: 'cancelled', by: host })
      this.#announce(row.orderId)
    }
    await this.#failIfOut('write')
    return outcomes
  }

  #judge(checks: readonly Check[], { takesLocks }: { takesLocks: boolean }): Outcome[] {
    const done = new Set<Row>()
    return checks.map(({ orderId }) => {
      const row = this.rows.get(orderId)
      if (!row) return { kind: 'missing', evidence: { decidedAt: this.now } }
      const outcome = this.#judgeRow(row, { isDone: done.has(row), takesLocks })
      if (outcome.kind === 'cancelled' && takesLocks) {
        done.add(row)
        row.isLocked = true
      }
      return outcome
    })
  }

  #judgeRow(row: Row, { isDone, takesLocks }: { isDone: boolean; takesLocks: boolean }): Outcome {
    const { now } = this
    const evidence: Evidence = { decidedAt: now, status: row.status, deadline: row.deadline }
    if (isDone) return { kind: 'kept', status: 'cancelled', evidence: { ...evidence, status: 'cancelled' } }
    if (row.status !== 'pending' && !(this.#flaw === 'ignores the status' && row.status === 'paid'))
      return { kind: 'kept', status: row.status, evidence }
    if (row.deadline > now && this.#flaw !== 'ignores the deadline')
      return { kind: 'postponed', until: row.deadline, reason: 'not-due', evidence }
    if (row.isLocked && takesLocks && this.#flaw !== 'ignores locks')
      return { kind: 'postponed', until: now + LOCKED_RETRY_MS, reason: 'locked', evidence }
    return { kind: 'cancelled', at: now, evidence }
  }

  #page(instant: number, after: DueOrder | undefined, limit: number): DueOrder[] {
    const compare = (a: DueOrder, b: DueOrder) => a.deadline - b.deadline || (a.orderId < b.orderId ? -1 : 1)
    return [...this.rows.values()]
      .filter((row) => row.status === 'pending' && row.deadline <= instant && (!after || compare(after, row) < 0))
      .filter(({ orderId }) => orderId !== after?.orderId)
      .sort(compare)
      .slice(0, limit)
      .map(({ orderId, deadline }) => ({ orderId, deadline }))
  }

  #announce(orderId: string): void {
    if (this.#flaw === 'announces nothing') return
    const announce = () => this.#record({ orderId, what: 'announced' })
    if (this.#flaw === 'announces after the commit')
      this.#scheduler.at(this.#scheduler.now, orderId, 'announced', announce)
    else announce()
  }

  async #failIfOut(call: Call): Promise<void> {
    const { outage } = this
    if (!outage || !(CONCERNS[outage.code]?.includes(call) ?? true)) return
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
