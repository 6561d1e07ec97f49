import type { IQueueBackend, IRedisClient } from 'bullmq'
import { isRedisRefusal, redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { backoffMs } from '../../runtime/retry.ts'

const WAIT = 'bzpopmin'
/** BullMQ's fetch, its wait for a job, and its look for stalled jobs: a worker takes these steps again and again. */
const REPEATED = new Set(['moveToActive', WAIT, 'moveStalledJobsToWait'])
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
        this.#succeed(step)
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
    this.#failing.delete('moveToActive')
  }

  /** Where a step succeeds again, the others will most likely too, but some come seldom: they begin anew. */
  #succeed(step: string): void {
    if (this.#failing.delete(step)) this.#failing.clear()
  }

  #fail(step: string, error: Error): void {
    const now = this.#clock.monotonic()
    const before = this.#failing.get(step)
    const isGoingOn = before && now - before.at < FORGOTTEN_AFTER_MS
    this.#failing.set(step, {
      since: isGoingOn ? before.since : now,
      at: now,
      times: isGoingOn ? before.times + 1 : 1,
      error,
    })
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
    for (const [step, { since, at, error }] of this.#failing) {
      const isInTheWay = now - since >= FAILING_AFTER_MS && now - at < FORGOTTEN_AFTER_MS
      if (isInTheWay && isOfRedis(step, error)) return error
    }
    return undefined
  }
}

/** Of the steps that end a job, one bad job can make each fail; but a refusal is about all jobs. */
function isOfRedis(step: string, error: Error): boolean {
  return redisErrorCode(error) !== undefined && (REPEATED.has(step) || isRedisRefusal(error))
}
