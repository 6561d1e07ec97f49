import type { Checks } from '../client/checks.ts'
import type { JobBefore } from '../queue/add-if-absent.ts'
import { type FinishedCheck, jobIdOf, type Placement } from '../queue/contract.ts'
import type { FoundCheck } from '../queue/view/check-facts.ts'

/** The check of an order. Times are epoch milliseconds. */
export interface MemoryCheck {
  orderId: string
  deadline: number
  placedAt: number
  isUnderWay: boolean
  finished?: FinishedCheck
}

/** The checks of orders in memory, with the results of those in the queue. Each call is done when it returns. */
export class MemoryChecks implements Checks {
  readonly #checks = new Map<string, MemoryCheck>()
  readonly #now: () => number

  constructor({ now }: { now: () => number }) {
    this.#now = now
  }

  async place(
    placements: readonly Placement[],
    { keepsDecided = false }: { keepsDecided?: boolean } = {},
  ): Promise<(JobBefore | undefined)[]> {
    return placements.map((placement) => this.#placeOne(placement, keepsDecided))
  }

  async move(placement: Placement): Promise<'rescheduled' | 'unchanged' | 'scheduled' | 'checking'> {
    const { orderId, deadline } = placement
    const before = this.#placeOne(placement, false)
    if (!before) return 'scheduled'
    if (before.deadline === deadline) return 'unchanged'
    const check = this.#checks.get(orderId) as MemoryCheck
    check.deadline = deadline
    return check.isUnderWay ? 'checking' : 'rescheduled'
  }

  async remove(orderId: string): Promise<'removed' | 'checking' | 'missing'> {
    const check = this.#checks.get(orderId)
    if (!check || check.finished) return 'missing'
    if (check.isUnderWay) return 'checking'
    this.#checks.delete(orderId)
    return 'removed'
  }

  async find(orderId: string): Promise<FoundCheck | undefined> {
    const check = this.#checks.get(orderId)
    if (!check) return undefined
    const { deadline, placedAt, finished } = check
    return {
      jobId: jobIdOf(orderId),
      state: this.#stateOf(check),
      deadline: new Date(deadline),
      scheduledAt: new Date(placedAt),
      attempts: finished ? 1 : 0,
      ...(finished && { finished }),
    }
  }

  /** The checks to come, by their deadlines; of the same deadline, the one placed first comes first. */
  waiting(): MemoryCheck[] {
    return [...this.#checks.values()].filter(({ finished }) => !finished).sort((a, b) => a.deadline - b.deadline)
  }

  #placeOne({ orderId, deadline, placedAt }: Placement, keepsDecided: boolean): JobBefore | undefined {
    const before = this.#checks.get(orderId)
    const cancelledAt = before?.finished?.outcome === 'cancelled' ? before.finished.decidedAt : undefined
    const isInTheWay = before && !(before.finished && !(keepsDecided && cancelledAt && before.deadline === deadline))
    if (isInTheWay) return { ...before, isFinished: before.finished !== undefined, cancelledAt }
    this.#checks.delete(orderId) // so that it becomes the last
    this.#checks.set(orderId, { orderId, deadline, placedAt, isUnderWay: false })
    return undefined
  }

  #stateOf({ deadline, isUnderWay, finished }: MemoryCheck): FoundCheck['state'] {
    if (finished) return 'finished'
    if (isUnderWay) return 'checking'
    return deadline <= this.#now() ? 'due' : 'waiting'
  }
}
