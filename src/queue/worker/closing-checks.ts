import type { Clock } from '../../runtime/clock.ts'
import type { DueCheck } from './claimed-job.ts'

/** Payments of a batch that are closed within this time are settled together. */
const GATHER_MS = 10

/** Checks whose payments are being closed: they hold up no other, and are handed over afterwards. */
export class ClosingChecks {
  readonly #clock: Pick<Clock, 'sleep'>
  /** What hands over each check that waits. */
  readonly #waiting = new Map<DueCheck, () => void>()
  /** Those that are about to be handed over. */
  #gathered = 0

  constructor({ clock }: { clock: Pick<Clock, 'sleep'> }) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waiting.size + this.#gathered
  }

  /**
   * @param closings of one batch: each check, and what is resolved once its payment is closed, or known not to be
   * @param handOver called with some checks at a time
   */
  add(closings: readonly { due: DueCheck; closed: Promise<void> }[], handOver: (checks: DueCheck[]) => void): void {
    let closed: DueCheck[] = []
    const gather = (due: DueCheck) => {
      if (!this.#waiting.delete(due)) return // it was let go
      this.#gathered++
      closed.push(due)
      if (closed.length > 1) return // the first one has begun to gather
      void this.#clock.sleep(GATHER_MS).then(() => {
        const checks = closed
        closed = []
        this.#gathered -= checks.length
        handOver(checks)
      })
    }
    for (const { due, closed: isClosed } of closings) {
      this.#waiting.set(due, () => gather(due))
      void isClosed.then(() => gather(due))
    }
  }

  /** Hands over all, whatever their payments do. */
  letGo(): void {
    for (const gather of [...this.#waiting.values()]) gather()
  }
}
