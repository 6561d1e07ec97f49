import type { Check, Outcome } from '../../order/order.ts'
import type { DecidedBy } from '../../order/store.ts'
import type { Actors } from './actors.ts'
import type { OrdersColumns } from './columns.ts'
import type { Connections } from './connections.ts'
import { sqlStateOf } from './errors.ts'
import { canonicalId } from './ids.ts'
import { isLocked, rejectUnlocked } from './locks.ts'
import { prepare } from './prepared.ts'
import { ANYBODY, closedOf, idsAndMs, rejected, toOutcomes, undone } from './rows.ts'
import type { buildStatements } from './statements.ts'
import { runWatched, type Undone } from './watched.ts'

export interface CancellationOptions {
  connections: Connections
  columns: OrdersColumns
  statements: ReturnType<typeof buildStatements>
  /** What acts beside the statement, as far as it is known now. */
  actors: () => Actors
  /** Looks again at what acts. Rejects if the table has changed so that the statements no longer fit. */
  lookAgain: () => Promise<void>
}

/** Cancels by our own statement. */
export class Cancellation {
  readonly #options: CancellationOptions
  readonly #cancel: ReturnType<typeof prepare>
  readonly #cancelWatched: ReturnType<typeof prepare>
  readonly #dryRun: ReturnType<typeof prepare>
  readonly #idOf: (check: Check) => string

  constructor(options: CancellationOptions) {
    this.#options = options
    this.#cancel = prepare('cancel', options.statements.cancelUnpaid)
    this.#cancelWatched = prepare('cancel_watched', options.statements.cancelWatched)
    this.#dryRun = prepare('dry_run', options.statements.dryRun)
    this.#idOf = ({ orderId }) => canonicalId(options.columns.idType, orderId)
  }

  async dryRun(checks: readonly Check[]): Promise<Outcome[]> {
    const values = [...idsAndMs(checks), ...this.#closedOf(checks)]
    return this.#toOutcomes(await this.#options.connections.run(this.#dryRun, values))
  }

  /** Without orders, names and permissions are checked. */
  async run(checks: readonly Check[], by: DecidedBy): Promise<Outcome[]> {
    const { connections, statements, actors, lookAgain } = this.#options
    const idOf = this.#idOf
    const { fingerprint } = actors()
    let outcomes = await this.#runAsKnown(checks, by)
    // Where one was cancelled, the table was as it is known.
    if (outcomes.some(isLocked) && !outcomes.some(({ kind }) => kind === 'cancelled')) {
      await lookAgain()
      if (actors().fingerprint !== fingerprint) outcomes = await this.#runAsKnown(checks, by)
    }
    if (!actors().hasRowSecurity) return outcomes
    const why = 'expected to be allowed to change the row; by the row security of the table, our role may only see it'
    return rejectUnlocked({ checks, outcomes, why, connections, lockable: statements.lockable, idOf })
  }

  #runAsKnown(checks: readonly Check[], by: DecidedBy): Promise<Outcome[]> {
    const isLookedAt = checks.length > 0 && this.#options.actors().actLater
    return isLookedAt ? this.#runWatched(checks, by) : this.#runAlone(checks, by)
  }

  /** A transaction of one statement; a second one looks for what has been undone, if something has. */
  async #runAlone(checks: readonly Check[], by: DecidedBy): Promise<Outcome[]> {
    try {
      return this.#toOutcomes(await this.#options.connections.run(this.#cancel, this.#valuesOf(checks, by)))
    } catch (error) {
      if (!mayBeUndone(error)) throw error
      return this.#runWatched(checks, by)
    }
  }

  /** Transactions that are looked at before they end. */
  #runWatched(checks: readonly Check[], by: DecidedBy): Promise<Outcome[]> {
    return runWatched({ checks, idOf: this.#idOf, attempt: (...some) => this.#attempt(by, ...some) })
  }

  #valuesOf(checks: readonly Check[], by: DecidedBy): unknown[] {
    const { relations, fingerprint } = this.#options.actors()
    return [...idsAndMs(checks), relations, fingerprint, by, ...this.#closedOf(checks)]
  }

  #closedOf(checks: readonly Check[]): [(string | null)[]] | [] {
    return this.#options.columns.payment ? [closedOf(checks)] : []
  }

  async #attempt(by: DecidedBy, checks: readonly Check[], undoneOrders: Undone): Promise<Outcome[] | undefined> {
    const { connections, statements, actors } = this.#options
    return connections.transaction('BEGIN', async (client) => {
      const rows = await connections.runWithin(client, this.#cancelWatched, this.#valuesOf(checks, by))
      const outcomes = this.#toOutcomes(rows)
      const cancelled = checks.filter((_, n) => outcomes[n]?.kind === 'cancelled')
      const stayed = new Set<string>()
      if (cancelled.length > 0 && actors().actLater) {
        if (actors().canDefer) await client.query('SET CONSTRAINTS ALL IMMEDIATE') // runs what would run at the end
        const { rows } = await client.query<{ id: string }>(statements.notCancelled, [cancelled.map(this.#idOf)])
        for (const { id } of rows) stayed.add(this.#idOf({ orderId: id, deadline: 0 }))
      }
      let isUndone = false
      for (const [n, check] of checks.entries()) {
        const [what] = rows[n] as [string]
        if (what !== 'undone' && !(what === 'cancelled' && stayed.has(this.#idOf(check)))) continue
        isUndone = true
        const { evidence } = outcomes[n] as Outcome
        undoneOrders.set(this.#idOf(check), rejected(undone(this.#undoneBy()), evidence))
      }
      return isUndone ? { end: 'ROLLBACK', value: undefined } : { end: 'COMMIT', value: outcomes }
    })
  }

  #toOutcomes(rows: readonly unknown[]): Outcome[] {
    return toOutcomes(rows, this.#options.columns.cancelledStatus, this.#undoneBy())
  }

  /** Who may have kept an order from being cancelled, for people. */
  #undoneBy(): readonly string[] {
    const { names } = this.#options.actors()
    if (this.#options.columns.status) return names
    return ['ORDERS_SET, which must end what ORDERS_CONDITION asks for,', ...(names.length > 0 ? names : [ANYBODY])]
  }
}

/** Whether `cancelUnpaid` may have failed because something has undone a cancellation; if not, it only fails once more. */
function mayBeUndone(error: unknown): boolean {
  return sqlStateOf((error as Error).cause) === '22012'
}
