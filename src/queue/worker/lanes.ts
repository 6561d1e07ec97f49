import { OrderExpiryError } from '../../errors.ts'
import type { Check } from '../../order/order.ts'
import type { Settle, Settlement } from '../../order/settle.ts'
import { Batcher } from '../../runtime/batcher.ts'
import type { Clock } from '../../runtime/clock.ts'

/** About as long as a statement takes: a check that has just come waits no longer, and batches get larger. */
const BATCH_PATIENCE_MS = 5
/** The longest time that a check left behind takes up one of the worker's slots before its batch begins. */
const LONGEST_WAIT_MS = 250

interface Turn {
  check: Check
  /** Aborted when its batch begins. */
  begins: AbortController
  isOver: boolean
}

/**
 * Settles checks in batches, in two lanes. Those whose orders were left behind, locked or rejected, keep to one connection and
 * to batches of their own, so that what stops them does not hold up good orders. One that does not get its turn soon makes
 * room for others, undecided.
 */
export class Lanes {
  readonly #first: Batcher<Check, Settlement>
  readonly #leftBehind: Batcher<Turn, Settlement>
  readonly #settle: Settle
  readonly #clock: Clock

  /** @param options.maxBatches of good orders in flight at once */
  constructor(options: { settle: Settle; batchSize: number; maxBatches: number; clock: Clock }) {
    const { settle, batchSize, maxBatches, clock } = options
    const patience = { ms: BATCH_PATIENCE_MS, clock }
    this.#settle = settle
    this.#clock = clock
    this.#first = new Batcher({ run: settle, maxBatch: batchSize, maxInFlight: maxBatches, patience })
    this.#leftBehind = new Batcher({
      run: (turns) => this.#settleTurns(turns),
      maxBatch: batchSize,
      maxInFlight: 1,
      patience,
    })
  }

  get isIdle(): boolean {
    return this.#first.isIdle && this.#leftBehind.isIdle
  }

  /** Resolves with the check's own settlement. Never rejects. */
  add(check: Check, { isLeftBehind }: { isLeftBehind: boolean }): Promise<Settlement> {
    if (!isLeftBehind) return this.#first.add(check)
    const turn: Turn = { check, begins: new AbortController(), isOver: false }
    return Promise.race([this.#leftBehind.add(turn), this.#endOf(turn)])
  }

  /** Resolves only if the check has waited too long; its batch then leaves it out. */
  #endOf(turn: Turn): Promise<Settlement> {
    return new Promise((resolve) => {
      this.#clock.sleep(LONGEST_WAIT_MS, turn.begins.signal).then(
        () => {
          turn.isOver = true
          resolve({ kind: 'failed', error: noTurn() })
        },
        () => {}, // its batch has begun
      )
    })
  }

  async #settleTurns(turns: readonly Turn[]): Promise<Settlement[]> {
    const begun = turns.filter(({ isOver }) => !isOver)
    for (const { begins } of begun) begins.abort()
    const settlements = begun.length > 0 ? (await this.#settle(begun.map(({ check }) => check))).values() : [].values()
    return turns.map(({ isOver }) =>
      isOver ? { kind: 'failed', error: noTurn() } : (settlements.next().value as Settlement),
    )
  }
}

function noTurn(): OrderExpiryError {
  return new OrderExpiryError('STORE_UNDECIDED', 'other orders that were left behind are being looked at; try again')
}
