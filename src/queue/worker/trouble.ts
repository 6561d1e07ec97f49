import { isRedisRefusal, isRefusalInScript, redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { backoffMs } from '../../runtime/retry.ts'

/** What a worker asks Redis for. It takes all but the last of these steps again and again. */
type Step = 'claim' | 'wait' | 'look for stalled jobs' | 'end'

/** A step that has failed this long without one success, whenever it was taken, keeps checks from being done. */
const FAILING_AFTER_MS = 5_000
/** A step that has not failed for this long is no longer in the way, or is no longer taken. */
const FORGOTTEN_AFTER_MS = 40_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

/** A step that fails each time. */
interface Failing {
  since: number
  at: number
  times: number
  error: Error
  /** Claims that find nothing succeed: the others may still be refused. */
  isOnlyWithJob?: boolean
  /** It has come to an end, most likely. */
  isOver?: boolean
}

/** Which steps of a worker fail, since when, and how long to wait before the next attempt. */
export class Trouble {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #failing = new Map<Step, Failing>()

  constructor({ clock, random = Math.random }: { clock: Clock; random?: () => number }) {
    this.#clock = clock
    this.#random = random
  }

  /** Takes a step, and remembers what has become of it. @param bringsJob whether a claim has brought a job */
  async during<T>(step: Step, work: Promise<T>, bringsJob: (result: T) => boolean = () => true): Promise<T> {
    try {
      const result = await work
      if (step === 'claim' && !bringsJob(result)) this.#foundNothing()
      else this.#succeed(step)
      return result
    } catch (error) {
      this.#fail(step, error as Error)
      throw error
    }
  }

  /** Whether this step failed when it was last taken. */
  isFailing(step: Step): boolean {
    return this.#failing.has(step)
  }

  /** Where a step succeeds again, the others will most likely too, but some come seldom: they begin anew. */
  #succeed(step: Step): void {
    if (this.#failing.delete(step)) this.#failing.clear()
  }

  /**
   * Redis may refuse only what the script of a claim does with a job. The job is then in `active` until it is taken for stalled,
   * and comes again; meanwhile claims find nothing, and succeed. Where all have failed for some seconds, that means that it is
   * mended, unless the next one with a job fails.
   */
  #foundNothing(): void {
    const failing = this.#failing.get('claim')
    if (failing?.isOnlyWithJob) return
    if (!failing || !isRefusalInScript(failing.error)) {
      this.#succeed('claim')
      return
    }
    failing.isOnlyWithJob = true
    failing.isOver = this.#clock.monotonic() - failing.since >= FAILING_AFTER_MS
  }

  #fail(step: Step, error: Error): void {
    const now = this.#clock.monotonic()
    const before = this.#failing.get(step)
    const isGoingOn = before && now - before.at < FORGOTTEN_AFTER_MS
    const { since = now, times = 0, isOnlyWithJob }: Partial<Failing> = isGoingOn ? before : {}
    this.#failing.set(step, { since, at: now, times: times + 1, error, ...(isOnlyWithJob && { isOnlyWithJob }) })
  }

  /** Pause before the step is taken again. None after the first failure: one bad job must not hold up the others. */
  pauseMs(step: Step): number {
    const { times = 0 } = this.#failing.get(step) ?? {}
    if (times < 2) return 0
    return backoffMs({ attempt: times - 1, baseMs: FIRST_PAUSE_MS, capMs: LONGEST_PAUSE_MS, random: this.#random })
  }

  /** Why Redis has been refusing a step for some seconds. That it is away is known elsewhere. */
  get failure(): Error | undefined {
    const now = this.#clock.monotonic()
    for (const [step, { since, at, error, isOver }] of this.#failing) {
      const isInTheWay = !isOver && now - since >= FAILING_AFTER_MS && now - at < FORGOTTEN_AFTER_MS
      if (isInTheWay && isOfRedis(step, error)) return error
    }
    return undefined
  }
}

/** Of the ends of jobs, one bad job can make each fail; but a refusal is about all jobs. */
function isOfRedis(step: Step, error: Error): boolean {
  return redisErrorCode(error) !== undefined && (step !== 'end' || isRedisRefusal(error))
}
