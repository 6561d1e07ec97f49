import { OrderExpiryError } from '../errors.ts'
import { systemClock } from '../runtime/clock.ts'
import type { ScheduleItem, ScheduleResult } from './results.ts'

/** What a call of `schedule` asks for. */
export interface ScheduleCall extends ScheduleItem {
  /** When it was made, in epoch milliseconds. */
  calledAt: number
  /** The trace context to be written on the job. */
  trace?: string | undefined
}

interface WaitingCall extends ScheduleCall {
  resolve: (result: ScheduleResult) => void
  reject: (error: OrderExpiryError) => void
}

/**
 * Gathers calls of `schedule` that are made at the same time, so that they share round trips. None waits for company: the
 * first leaves at once, those made meanwhile in the same turn of the event loop leave together at its end, and what comes
 * while all round trips are under way leaves with the next one.
 */
export class ScheduleCalls {
  readonly #run: (calls: ScheduleCall[]) => Promise<(ScheduleResult | OrderExpiryError)[]>
  readonly #maxTogether: number
  readonly #maxUnderWay: number
  readonly #waiting: WaitingCall[] = []
  #underWay = 0
  #isLeaving = false

  /** @param options.run gives one result or error for each call, in their order, and never rejects */
  constructor(options: {
    run: (calls: ScheduleCall[]) => Promise<(ScheduleResult | OrderExpiryError)[]>
    maxTogether: number
    maxUnderWay: number
  }) {
    this.#run = options.run
    this.#maxTogether = options.maxTogether
    this.#maxUnderWay = options.maxUnderWay
  }

  /** The call's own result, or a rejection with its own error. What the caller does to the item later has no effect. */
  add(item: ScheduleItem, trace?: string): Promise<ScheduleResult> {
    return new Promise((resolve, reject) => {
      const { orderId, deadline, allowPast, by } = item
      this.#waiting.push({
        orderId,
        deadline: deadline instanceof Date ? new Date(deadline) : deadline,
        allowPast,
        by,
        trace,
        calledAt: systemClock.now(),
        resolve,
        reject,
      } as WaitingCall)
      if (this.#underWay === 0) this.#leave()
      else this.#leaveSoon()
    })
  }

  /** Once all have called that will do so in this turn, also those that an answer has just set going. */
  #leaveSoon(): void {
    if (this.#isLeaving || this.#underWay >= this.#maxUnderWay) return
    this.#isLeaving = true
    process.nextTick(() => {
      this.#isLeaving = false
      while (this.#waiting.length > 0 && this.#underWay < this.#maxUnderWay) this.#leave()
    })
  }

  #leave(): void {
    const calls = this.#waiting.splice(0, this.#maxTogether)
    this.#underWay++
    void this.#run(calls).then((results) => {
      this.#underWay--
      for (let n = 0; n < calls.length; n++) {
        const { resolve, reject } = calls[n] as WaitingCall
        const result = results[n] as ScheduleResult | OrderExpiryError
        if (result instanceof OrderExpiryError) reject(result)
        else resolve(result)
      }
      if (this.#waiting.length > 0) this.#leaveSoon()
    })
  }
}
