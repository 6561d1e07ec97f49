import type { IQueueBackend } from 'bullmq'
import { redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Alarm } from './alarm.ts'
import type { Trouble } from './trouble.ts'

/** The longest sleep, unless told otherwise; see IDLE_POLL_EVERY in `config.ts`. */
export const LONGEST_SLEEP_MS = 5_000
/** Before a job that is due sooner the worker sleeps no longer than that, and is woken on the millisecond. */
const DUE_SOON_MS = 1_000
/** Redis ends a wait on its timer, up to this much later than asked; see {@link Alarm}. */
const REDIS_TIMER_MS = 200
/** Of jobs that are due sooner nobody is told, nor of one close to the last: where many are due, that would cost more than they do. */
const TELL_FROM_MS = 500
/** The longest wait after one that was refused: only its end tells that Redis allows it again. */
const TRIAL_WAIT_S = 1
/** After a lost connection. */
const AGAIN_MS = 500

export interface SleepOptions {
  /** Sends Redis a command that does nothing. */
  ring: () => Promise<unknown>
  /** Tells the queue that there may be a job, so that another worker looks. */
  wakeAnother?: () => Promise<unknown>
  /** How often it looks for jobs that nobody has told of. Default 5 s */
  longestSleepMs?: number
  /** That of Redis. */
  clock: Clock
}

/**
 * The sleep of a worker that has nothing to do, on a connection of its own: until a job is there, or due. Whoever adds a job
 * puts a marker into the queue, which wakes one worker and tells it when the job is due.
 */
export class Sleep {
  readonly #options: ConstructorParameters<typeof Sleep>[0]
  readonly #alarm: Alarm
  readonly #clock: Clock
  #isAsleep = false
  #isOver = false
  /** The instant of which it has told another, by the monotonic clock. */
  #toldOf = Number.NEGATIVE_INFINITY

  constructor(options: SleepOptions & { backend: IQueueBackend; trouble: Trouble; onError: (error: Error) => void }) {
    this.#options = options
    this.#alarm = new Alarm(options)
    this.#clock = options.clock
  }

  /** Whether what came after a sleep was a job. */
  tell(hasJob: boolean): void {
    this.#alarm.tell(hasJob)
  }

  /** Sleeps until a job may be there: for so long, less if there is word of another, and no longer than the longest sleep. */
  async for(ms: number): Promise<void> {
    let until = this.#clock.monotonic() + ms
    while (!this.#isOver) {
      const leftMs = until - this.#clock.monotonic()
      if (leftMs <= 0) return
      const marker = await this.#waitFor(leftMs)
      if (!marker) return
      const inMs = marker.score - this.#clock.now()
      if (inMs < 1) return
      until = Math.min(until, this.#clock.monotonic() + inMs)
    }
  }

  /** Hands on what it may know alone: a marker wakes exactly one worker. */
  async handOn(): Promise<void> {
    await this.#options.wakeAnother?.().catch(() => {}) // the others look a little later
  }

  /** Ends the sleep, for good. */
  async end(): Promise<void> {
    this.#isOver = true
    if (this.#isAsleep) await this.#options.backend.disconnectBlocking(false).catch(() => {})
    await this.handOn() // of a job that is due in a moment, perhaps only this one knows
  }

  /** Redis ends the longest wait on its timer, too late for a job that is due just after it: so before one it is shorter. */
  async #waitFor(leftMs: number) {
    const { backend, longestSleepMs = LONGEST_SLEEP_MS } = this.#options
    const wait = (seconds: number) => this.#wait(Math.max(seconds, backend.minimumBlockTimeout))
    if (leftMs < DUE_SOON_MS) return this.#alarm.during(leftMs / 1_000, wait)
    if (leftMs < longestSleepMs) this.#tellAnother(this.#clock.monotonic() + leftMs)
    return wait(Math.min(longestSleepMs, leftMs - REDIS_TIMER_MS) / 1_000)
  }

  /** A job wakes exactly one sleeping worker. If that one dies, the others would sleep on: so each tells another, once. */
  #tellAnother(until: number): void {
    if (Math.abs(until - this.#toldOf) < TELL_FROM_MS) return
    this.#toldOf = until
    void this.handOn()
  }

  async #wait(seconds: number) {
    const { backend, trouble, onError } = this.#options
    this.#isAsleep = true
    try {
      const asked = trouble.isFailing('wait') ? Math.min(seconds, TRIAL_WAIT_S) : seconds
      return await trouble.during('wait', backend.waitForJob(asked))
    } catch (error) {
      if (this.#isOver) return null
      const isRefused = redisErrorCode(error) !== undefined
      if (isRefused) onError(error as Error)
      else await backend.reconnectBlocking().catch(() => {}) // the claim that follows tells of it
      await this.#clock.sleep(Math.min(seconds * 1_000, isRefused ? trouble.pauseMs('wait') : AGAIN_MS))
      return null
    } finally {
      this.#isAsleep = false
    }
  }
}
