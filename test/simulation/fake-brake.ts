import type { BrakeReason, BrakeStatus, Grant, SharedBrake } from '../../src/order/brake.ts'
import { EPOCH, type Host } from './host.ts'
import type { Scheduler } from './scheduler.ts'

export type BrakeFlaw = 'forgets to count' | 'takes nothing back' | 'forgets that it is engaged'

/** What a limit does not hold across: until then cancellations are not counted, or what was counted is lost. */
export interface Exemption {
  from: number
  until: number
}

interface State {
  /** Written back by a process that knew it. */
  isOld?: boolean
  engaged: boolean
  reason?: BrakeReason
  suspendedUntil?: number
}

/** The state of the brake with the semantics of `queue/shared-brake.ts`. Times are milliseconds of the run. */
export class FakeBrake {
  readonly exemptions: Exemption[] = []
  /** Since when it is engaged, and since when it is not. */
  readonly changes: { at: number; engaged: boolean; reason?: BrakeReason | undefined }[] = []
  isAway = false
  readonly #scheduler: Scheduler
  readonly #flaw: BrakeFlaw | undefined
  #state: State | undefined
  #counts = new Map<number, number>()

  constructor(options: { scheduler: Scheduler; flaw?: BrakeFlaw | undefined }) {
    this.#scheduler = options.scheduler
    this.#flaw = options.flaw
  }

  connect(host: Host): SharedBrake {
    let known: State | undefined
    const run = (what: string, effect: () => number) =>
      host.request(what, (): Grant => {
        if (this.isAway) throw new Error('Redis is away')
        if (known?.engaged && !this.#state) this.#write({ ...known, isOld: true })
        const granted = effect()
        known =
          this.#flaw === 'forgets that it is engaged' ? { engaged: false } : { ...(this.#state ?? { engaged: false }) }
        return {
          granted,
          second: this.#second,
          status: { ...known, lastMinute: this.#lastMinute() } satisfies BrakeStatus,
        }
      })
    return {
      status: async () => (await run('brake.status', () => 0)).status,
      reserve: (count, limit) => run('brake.reserve', () => this.#reserve(count, limit)),
      giveBack: async (count, { second }) => {
        await run('brake.giveBack', () => {
          const counted = this.#counts.get(second)
          if (counted !== undefined && this.#flaw !== 'takes nothing back') this.#counts.set(second, counted - count)
          return 0
        })
      },
      engage: async (reason) => (await run('brake.engage', () => this.engage(reason))).status,
    }
  }

  engage(reason: BrakeReason): number {
    if (reason === 'manual' || !(this.#state?.engaged || this.#isSuspended)) this.#write({ engaged: true, reason })
    return 0
  }

  release(suspendMs: number): void {
    const { now } = this.#scheduler
    this.#write({ engaged: false, suspendedUntil: now + suspendMs })
    this.#counts.clear()
    this.exemptions.push({ from: now, until: now + suspendMs })
  }

  /** Redis has been emptied. */
  empty(): void {
    const { now } = this.#scheduler
    this.#state = undefined
    this.#counts.clear()
    this.changes.push({ at: now, engaged: false })
    this.exemptions.push({ from: now, until: now })
  }

  #reserve(count: number, limit: number): number {
    if (this.#state?.engaged && this.#flaw !== 'forgets that it is engaged') return 0
    if (this.#isSuspended) return count
    const granted = Math.max(0, Math.min(count, limit - this.#lastMinute()))
    if (granted < count) this.#write({ engaged: true, reason: 'limit' })
    if (this.#flaw !== 'forgets to count')
      this.#counts.set(this.#second, (this.#counts.get(this.#second) ?? 0) + granted)
    return granted
  }

  #lastMinute(): number {
    let sum = 0
    for (const [second, count] of this.#counts) if (second >= this.#second - 60) sum += count
    return sum
  }

  #write(state: State): void {
    this.#state = state
    this.changes.push({
      at: this.#scheduler.now,
      engaged: state.engaged,
      reason: state.isOld ? undefined : state.reason,
    })
    this.#scheduler.note('brake', state.engaged ? `engaged${state.isOld ? ' again' : ''}: ${state.reason}` : 'released')
  }

  get #isSuspended(): boolean {
    return (this.#state?.suspendedUntil ?? 0) > this.#scheduler.now
  }

  get #second(): number {
    return Math.floor((EPOCH + this.#scheduler.now) / 1_000)
  }
}
