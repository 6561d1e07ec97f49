import type { BrakeReason, BrakeStatus, Grant, SharedBrake } from '../../src/brake/shared-brake.ts'
import { EPOCH, type Host } from './host.ts'
import type { Scheduler } from './scheduler.ts'

export type BrakeFlaw =
  | 'forgets to count'
  | 'takes nothing back'
  | 'forgets that it is engaged'
  | 'begins a new minute'
  | 'takes unknown for released'

/** What a limit does not hold across: until then cancellations are not counted, or what was counted is lost. */
export interface Exemption {
  from: number
  until: number
  /** Not across what one process cancels: it remembers what was granted to it. */
  isLoss?: true
}

interface State {
  /** The newest decision has the highest. */
  changed: number
  engaged: boolean
  since?: number
  reason?: BrakeReason
  suspendedUntil?: number
}

interface Counted {
  second: number
  used: number
  isUsed?: boolean
}

/** The state of the brake with the semantics of `brake/redis-brake.ts`. Times are milliseconds of the run. */
export class FakeBrake {
  readonly exemptions: Exemption[] = []
  /** Since when it is engaged, and since when it is not. */
  readonly changes: { at: number; engaged: boolean; reason?: BrakeReason | undefined }[] = []
  /** When each process first got an answer. */
  readonly firstReadAt = new Map<Host, number>()
  isAway = false
  readonly #scheduler: Scheduler
  readonly #flaw: BrakeFlaw | undefined
  #state: State | undefined
  /** By the id of the reservation. */
  #grants = new Map<string, Counted>()

  constructor(options: { scheduler: Scheduler; flaw?: BrakeFlaw | undefined }) {
    this.#scheduler = options.scheduler
    this.#flaw = options.flaw
  }

  connect(host: Host): SharedBrake {
    let known: State | undefined
    const own = new Map<string, Counted>()
    const run = (what: string, effect: () => number) =>
      host.request(what, (): Grant => {
        if (this.isAway) {
          if (this.#flaw !== 'takes unknown for released') throw new Error('Redis is away')
          return { granted: 0, status: { engaged: false, lastMinute: 0 } }
        }
        if (!this.firstReadAt.has(host)) this.firstReadAt.set(host, this.#scheduler.now)
        if (known && known.changed > (this.#state?.changed ?? 0)) this.#write(known, { isOld: true })
        for (const [id, grant] of own) {
          const isForgotten = !this.#state?.engaged && grant.second <= Math.floor((this.#state?.since ?? 0) / 1_000)
          if (!isForgotten && !this.#grants.has(id)) this.#grants.set(id, grant)
        }
        const granted = effect()
        known = this.#state && {
          ...this.#state,
          ...(this.#flaw === 'forgets that it is engaged' && { engaged: false }),
        }
        const { engaged = false, reason } = known ?? {}
        const lastMinute = this.#lastMinute()
        return { granted, status: { engaged, ...(reason && { reason }), lastMinute } satisfies BrakeStatus }
      })
    return {
      status: async () => (await run('brake.status', () => 0)).status,
      reserve: async (id, count, limit) => {
        let counted: Counted | undefined
        const grant = await run('brake.reserve', () => {
          const granted = this.#reserve(id, count, limit)
          counted = this.#grants.get(id)
          return granted
        })
        if (counted && this.#flaw !== 'begins a new minute') own.set(id, counted)
        return grant
      },
      use: async (id, used) => {
        const mine = own.get(id)
        if (mine && this.#flaw !== 'takes nothing back') own.set(id, { ...mine, used: Math.min(mine.used, used) })
        await run('brake.use', () => {
          const { second, used: before } = this.#grants.get(id) ?? { second: this.#second, used: 0 }
          const counts = this.#flaw === 'takes nothing back' ? before : Math.min(before, used)
          this.#grants.set(id, { second, used: counts, isUsed: true })
          return 0
        })
      },
      countUsed: async () =>
        (await run('brake.countUsed', () => this.#sum(({ second, isUsed }) => isUsed || second <= this.#second - 15)))
          .granted,
      engage: async (reason) => (await run('brake.engage', () => this.engage(reason))).status,
    }
  }

  engage(reason: BrakeReason): number {
    if (reason === 'manual' || !(this.#state?.engaged || this.#isSuspended)) this.#decide({ engaged: true, reason })
    return 0
  }

  release(suspendMs: number): void {
    const { now } = this.#scheduler
    this.#decide({ engaged: false, suspendedUntil: now + suspendMs })
    this.#grants.clear()
    this.exemptions.push({ from: now, until: now + suspendMs })
  }

  /** Redis has been emptied. */
  empty(): void {
    const { now } = this.#scheduler
    this.#state = undefined
    this.#grants.clear()
    this.changes.push({ at: now, engaged: false })
    this.exemptions.push({ from: now, until: now, isLoss: true })
  }

  #reserve(id: string, count: number, limit: number): number {
    const earlier = this.#grants.get(id)
    if (earlier) return earlier.used
    if (this.#state?.engaged && this.#flaw !== 'forgets that it is engaged') return 0
    if (this.#isSuspended) return count
    const granted = Math.max(0, Math.min(count, limit - this.#lastMinute()))
    if (this.#flaw !== 'forgets to count') this.#grants.set(id, { second: this.#second, used: granted })
    return granted
  }

  #lastMinute(): number {
    return this.#sum(() => true)
  }

  #sum(counts: (grant: Counted) => boolean | undefined): number {
    let sum = 0
    for (const grant of this.#grants.values()) if (grant.second >= this.#second - 60 && counts(grant)) sum += grant.used
    return sum
  }

  #decide(state: Omit<State, 'changed' | 'since'>): void {
    const { now } = this.#scheduler
    const changed = Math.max(EPOCH + now, (this.#state?.changed ?? 0) + 1)
    this.#write({ ...state, changed, since: EPOCH + now }, { isOld: false })
  }

  #write(state: State, { isOld }: { isOld: boolean }): void {
    this.#state = state
    const { engaged, reason } = state
    this.changes.push({ at: this.#scheduler.now, engaged, reason: isOld ? undefined : reason })
    this.#scheduler.note('brake', `${engaged ? `engaged: ${reason}` : 'released'}${isOld ? ', again' : ''}`)
  }

  get #isSuspended(): boolean {
    return (this.#state?.suspendedUntil ?? 0) > this.#scheduler.now
  }

  get #second(): number {
    return Math.floor((EPOCH + this.#scheduler.now) / 1_000)
  }
}
