import { asOrderExpiryError, OrderExpiryError } from '../../errors.ts'
import { unreadableJob } from '../contract.ts'
import { whyUnreadable } from '../unreadable-data.ts'
import { type Batch, checkBatch, giveUpUnread } from './check.ts'
import { type DueCheck, dataOf, isLeftBehind, readJob } from './claimed-job.ts'
import type { Claim, ClaimedJob } from './claims.ts'
import { ClosingChecks } from './closing-checks.ts'
import type { PumpParts } from './pump-options.ts'

/** Orders left behind have this share of the worker's slots, and a connection of their own, so that they hold up no good order. */
const SHARE_LEFT_BEHIND = 0.25
/** A queue whose rate is limited is looked at this often: the limit may be lifted. */
const LONGEST_LIMIT_MS = 1_000
/** The shortest pause after a failed attempt to tell Redis of an end. */
const AGAIN_MS = 500

/** Batches of jobs in, settled orders out: claims what is due, has it checked, and sleeps until more is. */
export class Pump {
  readonly #options: PumpParts
  readonly #roomLeftBehind: number
  #tokens = 0
  /** The ids of jobs in flight, by the token that they are locked with. */
  readonly held = new Map<string, Set<string>>()
  #inFlight = 0
  /** Batches of good orders in flight. */
  #batches = 0
  #settling = 0
  /** They are not in flight, so that they hold up no other. */
  readonly #closings: ClosingChecks
  #numLeftBehind = 0
  /** The end of the last batch of orders that were left behind: one at a time. */
  #lastLeftBehind: Promise<void> = Promise.resolve()
  #numReleases = 0
  /** There are jobs that may only be claimed once others have ended. */
  #isHeldBack = false
  #isPaused = false
  #isClosing = false
  #isDisconnected = false
  #running: Promise<void> = Promise.resolve()
  #waiting: (() => void)[] = []

  constructor(options: PumpParts) {
    this.#options = options
    this.#closings = new ClosingChecks(options)
    this.#roomLeftBehind = Math.ceil(options.concurrency * SHARE_LEFT_BEHIND)
  }

  start(): void {
    this.#running = this.#run()
  }

  /** No batch is being settled, and no payment is being closed. */
  get isSettled(): boolean {
    return this.#settling + this.#closings.size === 0
  }

  /** Claims nothing more until {@link resume}; what is in flight goes on. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#changed()
  }

  /** Claims nothing more, and resolves once nothing is in flight. */
  async stop(): Promise<void> {
    this.#isClosing = true
    this.#changed()
    this.#closings.letGo()
    await this.#options.sleep.end()
    await this.#running
    while (this.#inFlight + this.#closings.size > 0) await this.#change()
  }

  /** Redis is told nothing more. */
  disconnect(): void {
    this.#isDisconnected = true
  }

  async #run(): Promise<void> {
    const { heartbeat, concurrency, batchSize, maxBatches } = this.#options
    let token = this.#nextToken()
    while (!this.#isClosing) {
      heartbeat.beat()
      const most = Math.min(batchSize, concurrency - this.#inFlight)
      if (this.#isPaused || most <= 0 || this.#batches >= maxBatches) {
        await this.#change()
        continue
      }
      const mostLast = Math.max(0, this.#roomLeftBehind - this.#numLeftBehind)
      const numReleases = this.#numReleases
      let claim: Claim
      try {
        const asked = this.#options.claims.claim({ token, most, mostLast })
        claim = await this.#options.trouble.during('claim', asked, ({ jobs }) => jobs.length > 0)
      } catch (error) {
        if (this.#isClosing) return
        this.#options.onError(error as Error)
        await this.#options.clock.sleep(this.#options.trouble.pauseMs('claim'))
        continue // with the same token: the answer may be lost
      }
      this.#begin(claim, token)
      token = this.#nextToken()
      await this.#rest(claim, { mayBeMore: claim.isHeld && numReleases !== this.#numReleases })
    }
  }

  /** Until there may be more to claim. @param options.mayBeMore one that others have to wait for has ended during the claim */
  async #rest({ now, nextAt, limitedMs, isHeld, jobs }: Claim, { mayBeMore }: { mayBeMore: boolean }): Promise<void> {
    this.#options.sleep.tell(jobs.length > 0)
    this.#isHeldBack = isHeld
    if (limitedMs > 0) await this.#options.clock.sleep(Math.min(limitedMs, LONGEST_LIMIT_MS))
    else if (nextAt > 0 && !mayBeMore) await this.#options.sleep.for(nextAt - now)
    if (this.#isPaused && nextAt > 0) await this.#options.sleep.handOn()
  }

  #nextToken(): string {
    return `${this.#options.workerId}:${this.#tokens++}`
  }

  #begin({ now: exact, nextAt, jobs, strangers }: Claim, token: string): void {
    const claimed = { token, begunAt: Math.floor(exact), begunMonotonic: this.#options.clock.monotonic() }
    const { prepare = () => undefined, onError } = this.#options
    for (const jobId of strangers) {
      const error = unreadableJob(jobId, whyUnreadable(undefined))
      this.#options.events.emit('check-given-up', { jobId, error })
    }
    if (jobs.length === 0) return
    this.held.set(token, new Set(jobs.map(({ id }) => id)))
    this.#inFlight += jobs.length
    const preparing = new Map<ClaimedJob, Promise<void>>()
    for (const job of jobs) {
      const prepared = prepare(job)
      if (prepared) preparing.set(job, prepared.catch(onError)) // whatever it is that fails, the order is checked
    }
    const ready = jobs.filter((job) => !preparing.has(job))
    // Where there are some that were left behind, the next claim must know how many.
    if (nextAt > 0 || jobs.some(isLeftBehind)) this.#check(ready, claimed)
    else this.#duringNextClaim(() => this.#check(ready, claimed))
    if (preparing.size === 0) return
    void Promise.all(preparing.values()).then(() => this.#check([...preparing.keys()], claimed))
  }

  /** Redis can look for more while this process reads what there is. */
  #duringNextClaim(check: () => void): void {
    this.#batches++ // most likely it becomes one
    setImmediate(() => {
      this.#batches--
      check()
      this.#changed()
    })
  }

  /** Reads jobs, and has them checked. */
  #check(jobs: readonly ClaimedJob[], claimed: Omit<Batch, 'checks'>): void {
    const { begunAt } = claimed
    const { paymentTimeoutMs, onFirstSeen, spans } = this.#options
    const good: DueCheck[] = []
    const leftBehind: DueCheck[] = []
    for (const job of jobs) {
      const { id: jobId, fields } = job
      const isFirst = !fields || fields.ats === '1'
      spans?.begin(job, begunAt)
      try {
        const due = readJob(job, { now: begunAt, paymentTimeoutMs })
        if (isFirst) onFirstSeen?.({ jobId, data: due.check })
        if (due.isLeftBehind) leftBehind.push(due)
        else good.push(due)
      } catch (cause) {
        if (isFirst) onFirstSeen?.({ jobId, data: dataOf(job) })
        void this.#giveUp(job, claimed, cause)
      }
    }
    if (good.length > 0) void this.#checkGood({ ...claimed, checks: good })
    if (leftBehind.length > 0) this.#checkLeftBehind({ ...claimed, checks: leftBehind })
  }

  async #checkGood(batch: Batch): Promise<void> {
    this.#batches++
    await this.#checkBatch(batch)
    this.#batches--
    this.#changed()
  }

  #checkLeftBehind(batch: Batch): void {
    const { length } = batch.checks
    if (this.#numLeftBehind >= this.#roomLeftBehind) {
      void this.#checkBatch(batch, async (checks) => checks.map(() => ({ kind: 'failed', error: noRoom() })))
      return
    }
    this.#numLeftBehind += length
    this.#lastLeftBehind = this.#lastLeftBehind.then(async () => {
      await this.#checkBatch(batch)
      this.#numLeftBehind -= length
      this.#changed()
    })
  }

  /** Never rejects. */
  async #checkBatch(batch: Batch, settle = this.#options.settle): Promise<void> {
    const { clock } = this.#options
    const counted: typeof settle = (checks) => {
      this.#settling++
      return settle(checks).finally(() => this.#settling--)
    }
    const waitingIds = new Set<string>()
    const tools = { ...this.#tools, settle: counted, awaitsClosings: () => !this.#isClosing }
    try {
      const { early, earlyMs, closings } = await checkBatch(batch, tools)
      for (const { id } of [...early, ...closings.map(({ due }) => due)]) waitingIds.add(id)
      if (early.length > 0) void clock.sleep(earlyMs).then(() => this.#checkBatch({ ...batch, checks: early }))
      this.#inFlight -= closings.length
      this.#closings.add(closings, (checks) => {
        this.#inFlight += checks.length
        void this.#checkGood({ ...batch, checks })
      })
      if (this.#isClosing) this.#closings.letGo()
    } catch (error) {
      this.#options.onError(error as Error)
    }
    const ended = batch.checks.flatMap(({ id }) => (waitingIds.has(id) ? [] : [id]))
    this.#release(batch.token, ended)
  }

  /** If nobody can be told of it, the job stays as it is, and comes again once it counts as stalled. */
  async #giveUp(job: ClaimedJob, claimed: Omit<Batch, 'checks'>, cause: unknown): Promise<void> {
    const ending = giveUpUnread(job, { ...claimed, error: asOrderExpiryError(cause) }, this.#tools)
    await ending.catch((failure) => this.#options.onError(failure))
    this.#release(claimed.token, [job.id])
  }

  get #tools() {
    const untilTold = <T>(tell: () => Promise<T>) => this.#untilTold(tell)
    return { ...this.#options, untilTold }
  }

  async #untilTold<T>(tell: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.#options.trouble.during('end', tell())
      } catch (error) {
        if (this.#isDisconnected) throw error
        this.#options.onError(error as Error)
        await this.#options.clock.sleep(Math.max(AGAIN_MS, this.#options.trouble.pauseMs('end')))
      }
    }
  }

  #release(token: string, ids: readonly string[]): void {
    const held = this.held.get(token)
    for (const id of ids) {
      held?.delete(id)
      this.#options.spans?.end(id)
    }
    if (held?.size === 0) this.held.delete(token)
    this.#inFlight -= ids.length
    this.#options.heartbeat.beat()
    this.#changed()
    this.#numReleases++
    if (this.#isHeldBack) void this.#options.sleep.handOn()
  }

  /** Resolves when something ends, or may begin. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #changed(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

function noRoom(): OrderExpiryError {
  return new OrderExpiryError('STORE_UNDECIDED', 'other orders that were left behind are being looked at; try again')
}
