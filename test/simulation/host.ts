import type { Clock } from '../../src/runtime/clock.ts'
import { Random } from '../helpers/random.ts'
import type { Scheduler } from './scheduler.ts'

/** The beginning of each run, by the clock of the order store. */
export const EPOCH = Date.UTC(2030, 0, 1)

const LATENCIES_MS = [0, 0, 0, 0, 1, 2, 5, 20, 150]

/**
 * One life of a process: its clock, its way to the servers, and its end. Nothing that it waits for arrives after a crash;
 * what arrives while it is frozen is taken up when it thaws.
 */
export class Host implements Clock {
  readonly name: string
  readonly scheduler: Scheduler
  readonly random: () => number
  /** By how much its clock is wrong. */
  offsetMs: number
  readonly isDryRun: boolean
  /** Since when it renews no lock. */
  goneSince: number | undefined
  #isAlive = true
  #frozenUntil = 0

  constructor(options: { name: string; seed: number; scheduler: Scheduler; offsetMs: number; isDryRun: boolean }) {
    this.name = options.name
    this.scheduler = options.scheduler
    const random = new Random(options.seed, options.name)
    this.random = () => random.next()
    this.offsetMs = options.offsetMs
    this.isDryRun = options.isDryRun
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  now(): number {
    return EPOCH + this.scheduler.now + this.offsetMs
  }

  monotonic(): number {
    return this.scheduler.now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        drop()
        this.#later(0, 'wakes', () => reject(signal?.reason))
      }
      const drop = this.#later(ms, 'wakes', () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /**
   * A request to a server. Its effect happens there whatever becomes of the sender, unless it dies before the request has
   * left; others can come in before the effect and between the effect and the answer.
   */
  async request<T>(what: string, effect: () => T | Promise<T>): Promise<T> {
    const { scheduler, name } = this
    await scheduler.wait(this.latencyMs(), name, what)
    if (!this.#isAlive && this.random() < 0.5) return new Promise<T>(() => {})
    const [answer] = await Promise.allSettled([(async () => effect())()])
    await new Promise<void>((resolve) => this.#later(this.latencyMs(), what, resolve))
    if (answer.status === 'rejected') throw answer.reason
    return answer.value
  }

  latencyMs(): number {
    return LATENCIES_MS[Math.floor(this.random() * LATENCIES_MS.length)] as number
  }

  crash(): void {
    this.#isAlive = false
    this.goneSince ??= this.scheduler.now
  }

  freeze(ms: number): void {
    this.goneSince ??= this.scheduler.now
    this.#frozenUntil = Math.max(this.#frozenUntil, this.scheduler.now + ms)
    this.scheduler.at(this.#frozenUntil, this.name, 'thaws', () => {
      if (this.#isAlive && this.scheduler.now >= this.#frozenUntil) this.goneSince = undefined
    })
  }

  note(what: string): void {
    this.scheduler.note(this.name, what)
  }

  #later(ms: number, what: string, run: () => void): () => void {
    let drop = () => {}
    const wait = (until: number) => {
      drop = this.scheduler.at(until, this.name, what, () => {
        if (!this.#isAlive) return
        if (this.#frozenUntil > this.scheduler.now) wait(this.#frozenUntil)
        else run()
      })
    }
    wait(this.scheduler.now + ms)
    return () => drop()
  }
}
