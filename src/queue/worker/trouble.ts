import type { IQueueBackend, IRedisClient } from 'bullmq'
import { isRedisRefusal, isRefusalInScript, redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { backoffMs } from '../../runtime/retry.ts'

const WAIT = 'bzpopmin'
const FETCH = 'moveToActive'
/** BullMQ's fetch, its wait for a job, and its look for stalled jobs: a worker takes these steps again and again. */
const REPEATED = new Set([FETCH, WAIT, 'moveStalledJobsToWait'])
/** A step that has failed this long without one success, whenever it was taken, keeps checks from being done. */
const FAILING_AFTER_MS = 5_000
/** A step that has not failed for this long is no longer in the way, or is no longer taken. */
const FORGOTTEN_AFTER_MS = 40_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000
/** The longest wait after one that was refused: only its end tells that Redis allows it again. */
const TRIAL_WAIT_S = 1

type Wait = IQueueBackend['waitForJob']

/** A step that fails each time. */
interface Failing {
  since: number
  at: number
  times: number
  error: Error
  /** Fetches that find nothing succeed: the others may still be refused. */
  isOnlyWithJob?: boolean
  /** It has come to an end, most likely. */
  isOver?: boolean
}

/** Which steps of a worker fail, since when, and how long to wait before the next attempt. */
export class Trouble {
  readonly #clock: Clock
  readonly #failing = new Map<string, Failing>()

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** From now on, it knows what becomes of the scripts that BullMQ runs on this client. */
  watchSteps(client: IRedisClient): void {
    const run = client.runCommand.bind(client)
    client.runCommand = async (name, args: unknown[]) => {
      const [step = name] = name.split(':')
      try {
        const reply: unknown = await run(name, args)
        if (step === FETCH && !bringsJob(reply)) this.#foundNothing()
        else this.#succeed(step)
        return reply
      } catch (error) {
        this.#fail(step, error as Error)
        throw error
      }
    }
  }

  /**
   * A wait of which it knows what becomes. Where Redis refuses it, the worker fetches again after a pause; BullMQ would neither
   * fetch nor wait, for ever.
   */
  watchWait(wait: Wait, onError: (error: Error) => void): Wait {
    return async (seconds) => {
      try {
        const marker = await wait(this.#failing.has(WAIT) ? Math.min(seconds, TRIAL_WAIT_S) : seconds)
        this.#succeed(WAIT)
        return marker
      } catch (error) {
        if (redisErrorCode(error) === undefined) throw error // BullMQ connects anew
        this.#fail(WAIT, error as Error)
        onError(error as Error)
        await this.#clock.sleep(Math.min(seconds * 1_000, this.pauseMs(WAIT)))
        return null
      }
    }
  }

  /** Whatever has stopped the fetch is out of the way. */
  mended(): void {
    this.#failing.delete(FETCH)
  }

  /** Where a step succeeds again, the others will most likely too, but some come seldom: they begin anew. */
  #succeed(step: string): void {
    if (this.#failing.delete(step)) this.#failing.clear()
  }

  /**
   * Redis may refuse only what the script of a fetch does with a job. The job is then in `active` until it is taken for stalled,
   * and comes again; meanwhile fetches find nothing, and succeed. Where all have failed for some seconds, that means that it is
   * mended, unless the next one with a job fails.
   */
  #foundNothing(): void {
    const failing = this.#failing.get(FETCH)
    if (failing?.isOnlyWithJob) return
    if (!failing || !isRefusalInScript(failing.error)) {
      this.#succeed(FETCH)
      return
    }
    failing.isOnlyWithJob = true
    failing.isOver = this.#clock.monotonic() - failing.since >= FAILING_AFTER_MS
  }

  #fail(step: string, error: Error): void {
    const now = this.#clock.monotonic()
    const before = this.#failing.get(step)
    const isGoingOn = before && now - before.at < FORGOTTEN_AFTER_MS
    const { since = now, times = 0, isOnlyWithJob }: Partial<Failing> = isGoingOn ? before : {}
    this.#failing.set(step, { since, at: now, times: times + 1, error, ...(isOnlyWithJob && { isOnlyWithJob }) })
  }

  /** Pause before the step is taken again. None after the first failure: one bad job must not hold up the others. */
  pauseMs(step: string): number {
    const { times = 0 } = this.#failing.get(step) ?? {}
    if (times < 2) return 0
    return backoffMs({ attempt: times - 1, baseMs: FIRST_PAUSE_MS, capMs: LONGEST_PAUSE_MS })
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

/** Of the steps that end a job, one bad job can make each fail; but a refusal is about all jobs. */
function isOfRedis(step: string, error: Error): boolean {
  return redisErrorCode(error) !== undefined && (REPEATED.has(step) || isRedisRefusal(error))
}

/** BullMQ's reply to a fetch begins with the fields and values of the job, if there is one. */
function bringsJob(reply: unknown): boolean {
  return Array.isArray(reply) && Array.isArray(reply[0])
}
