import { OrderExpiryError } from '../errors.ts'
import { startTimer } from '../runtime/clock.ts'
import type { Checks } from './checks.ts'

/** A shop's request may wait for 2 s; a call gives up earlier. */
export const CALL_TIMEOUT_MS = 1_500

/** What the calls work on, and how its errors are told. */
interface CallTarget {
  /** The checks, if they can be used at once; otherwise a promise for them. */
  open(): Checks | Promise<Checks>
  explain(error: unknown): OrderExpiryError
  close(): Promise<void>
}

/** Does work on the queue within the time that a shop's request may wait, or says in our own words why it cannot be done. */
export class BoundedCalls {
  readonly #target: CallTarget
  #isClosed = false

  constructor(target: CallTarget) {
    this.#target = target
  }

  /**
   * Runs `work` with the checks. It is not begun once the time is over, and must not send anything more once `isLate`.
   * What can be sent at once is sent before this returns.
   *
   * @throws {OrderExpiryError} REDIS_UNAVAILABLE, REDIS_REFUSED, CLOSED
   */
  run<T>(
    work: (checks: Checks, isLate: () => boolean) => Promise<T>,
    { withinMs = CALL_TIMEOUT_MS }: { withinMs?: number } = {},
  ): Promise<T> {
    if (this.#isClosed) {
      return Promise.reject(new OrderExpiryError('CLOSED', 'this OrderExpiry has been closed: make a new one'))
    }
    const noAnswer = () => this.explain(new Error(`no answer within ${CALL_TIMEOUT_MS} ms`))
    if (withinMs <= 0) return Promise.reject(noAnswer())
    let late = false
    const isLate = () => late
    const open = this.#target.open()
    const done =
      open instanceof Promise
        ? open.then((opened) => (late ? Promise.reject(noAnswer()) : work(opened, isLate)))
        : work(open, isLate)
    return new Promise((resolve, reject) => {
      const stopTimer = startTimer(withinMs, () => {
        late = true
        reject(noAnswer())
      })
      done.then(
        (result) => {
          stopTimer()
          resolve(result)
        },
        (error: unknown) => {
          stopTimer()
          reject(this.explain(error))
        },
      )
    })
  }

  /** An error of Redis or the connection, in our own words. */
  explain(error: unknown): OrderExpiryError {
    if (this.#isClosed) return new OrderExpiryError('CLOSED', 'this OrderExpiry has been closed', { cause: error })
    return this.#target.explain(error)
  }

  /** Gives the connection back, whatever is down. Calls under way are rejected. */
  close(): Promise<void> {
    this.#isClosed = true
    return this.#target.close()
  }
}
