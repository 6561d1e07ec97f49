import { EventEmitter } from 'node:events'
import { OrderExpiryError } from '../../src/errors.ts'
import type { DueOrder } from '../../src/order/store.ts'
import { EPOCH, type Host } from './host.ts'
import type { Scheduler } from './scheduler.ts'

const LOCK_MS = 15_000
const STALLED_CHECK_MS = 10_000

export interface Job {
  jobId: string
  orderId: string
  /** What the job says. */
  deadline: number
  /** By the clock of Redis. */
  dueAt: number
  state: 'delayed' | 'active' | 'completed' | 'failed'
  started: number
  failed: number
  holder: Host | undefined
  /** Of the claim by which it is held. */
  token: string | undefined
}

/** A queue that delivers at least once, as BullMQ does with the worker's settings; Redis can be away, or emptied. */
export class FakeQueue {
  readonly jobs = new Map<string, Job>()
  /** `close` and `ready`, as the connections to it tell. */
  readonly connections = new EventEmitter().setMaxListeners(0)
  #isAway = false
  readonly #scheduler: Scheduler
  readonly #resting = new Set<AbortController>()
  #hasCanary = false

  constructor(options: { scheduler: Scheduler }) {
    this.#scheduler = options.scheduler
    this.#checkStalled()
  }

  get isAway(): boolean {
    return this.#isAway
  }

  set isAway(isAway: boolean) {
    if (isAway === this.#isAway) return
    this.#isAway = isAway
    this.connections.emit(isAway ? 'close' : 'ready')
  }

  /** Does nothing where the id is known, as BullMQ does. */
  add(order: { jobId: string; orderId: string; deadline: number }): void {
    if (this.isAway || this.jobs.has(order.jobId)) return
    this.#put(order)
  }

  /** Somebody promotes the job on the board. */
  promote(jobId: string): void {
    const job = this.jobs.get(jobId)
    if (job?.state !== 'delayed') return
    job.dueAt = 0
    this.wakeAll()
  }

  /** The client's `reschedule`. */
  move(jobId: string, deadline: number): void {
    const job = this.jobs.get(jobId)
    if (!job || this.isAway || job.state === 'completed' || job.state === 'failed') return
    job.deadline = deadline
    if (job.state === 'delayed') job.dueAt = deadline
    this.wakeAll()
  }

  /** Afterwards each of the orders has a check at its deadline, or before. */
  addMissing(host: Host, orders: readonly DueOrder[]): Promise<number> {
    return host.request('queue.addMissing', () => {
      this.#failIfAway()
      let added = 0
      for (const { orderId, deadline } of orders) {
        const job = this.jobs.get(orderId)
        if (!job || job.state === 'completed' || job.state === 'failed')
          this.#put({ jobId: orderId, orderId, deadline })
        else if (job.state === 'delayed' && deadline > this.now && job.dueAt > deadline) this.move(orderId, deadline)
        else continue
        added++
      }
      return added
    })
  }

  /** At most so many jobs that are due, which the host holds from now on; with the same token again, the same ones. */
  claim({ host, token, most }: { host: Host; token: string; most: number }): Job[] {
    this.#failIfAway()
    const jobs = [...this.jobs.values()]
    const before = jobs.filter((job) => job.holder === host && job.token === token)
    if (before.length > 0) return before
    const due = jobs.filter(({ state, dueAt }) => state === 'delayed' && dueAt <= this.now)
    const taken = due.sort((a, b) => a.dueAt - b.dueAt).slice(0, most)
    for (const job of taken) {
      Object.assign(job, { state: 'active', holder: host, token })
      job.started++
    }
    return taken
  }

  /**
   * Records what has become of a job, and lets it go unless it is still active then.
   *
   * @returns whether the host held it, or has ended it before
   */
  end(held: { host: Host; token: string; jobId: string }, effect: (job: Job) => void): boolean {
    this.#failIfAway()
    const job = this.jobs.get(held.jobId)
    if (job?.holder !== held.host || job.token !== held.token) return job !== undefined && job.state !== 'active'
    effect(job)
    if (job.state !== 'active') job.holder = undefined
    this.wakeAll()
    return true
  }

  /** All that Redis knew is gone, and the key with which the watch notices it. */
  empty(): void {
    this.jobs.clear()
    this.#hasCanary = false
  }

  /** @returns `OK` if it was missing */
  plantCanary(): 'OK' | null {
    const wasThere = this.#hasCanary
    this.#hasCanary = true
    return wasThere ? null : 'OK'
  }

  /** What the clock of Redis shows. */
  get now(): number {
    return EPOCH + this.#scheduler.now
  }

  /** When the next job falls due, by that clock. */
  get nextDue(): number {
    return Math.min(...[...this.jobs.values()].map(({ state, dueAt }) => (state === 'delayed' ? dueAt : Infinity)))
  }

  /** Resolves after `ms`, or as soon as a job falls due earlier than before. */
  async rest(host: Host, ms: number): Promise<void> {
    const woken = new AbortController()
    this.#resting.add(woken)
    await host.sleep(ms, woken.signal).catch(() => {})
    this.#resting.delete(woken)
  }

  /** There may be a job. */
  wakeAll(): void {
    for (const woken of this.#resting) woken.abort('woken')
  }

  #put(order: { jobId: string; orderId: string; deadline: number }): void {
    const fresh = { state: 'delayed', started: 0, failed: 0, holder: undefined, token: undefined } as const
    this.jobs.set(order.jobId, { ...order, ...fresh, dueAt: order.deadline })
    this.wakeAll()
  }

  /** Jobs whose lock has run out come back. */
  #checkStalled(): void {
    const { now } = this.#scheduler
    for (const job of this.jobs.values()) {
      const since = job.holder?.goneSince
      if (job.state !== 'active' || since === undefined || now - since < LOCK_MS || this.isAway) continue
      Object.assign(job, { state: 'delayed', dueAt: 0, holder: undefined, token: undefined })
      this.wakeAll()
    }
    this.#scheduler.at(now + STALLED_CHECK_MS, 'queue', 'stalled check', () => this.#checkStalled())
  }

  #failIfAway(): void {
    if (this.isAway) throw new OrderExpiryError('REDIS_UNAVAILABLE', 'an outage of the simulation')
  }
}
