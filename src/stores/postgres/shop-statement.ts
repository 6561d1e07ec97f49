import type pg from 'pg'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { DecidedBy } from '../../order/store.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { CancellationOptions } from './cancellation.ts'
import { canonicalId } from './ids.ts'
import { KeptOrders } from './kept-orders.ts'
import { isLocked, rejectUnlocked } from './locks.ts'
import { ANSWERS, idsAndDeadlines, NOW_SQL, payable, postponed, rejected, undone, unreadableDeadline } from './rows.ts'
import { toShopOutcomes } from './shop-sql.ts'
import { runWatched, type Undone } from './watched.ts'

const SILENT =
  'CANCEL_SQL_FILE: expected a row for this order, which is unpaid, due and not locked; given none (docs/cancel-sql.md)'

interface ShopStatementOptions extends CancellationOptions {
  /** The text of CANCEL_SQL_FILE. */
  sql: string
  find: (client: pg.PoolClient, orderIds: readonly string[]) => Promise<(Order | undefined)[]>
}

/** Cancels by the shop's own statement, with our events in the same transaction. */
export class ShopStatement {
  readonly #options: ShopStatementOptions
  readonly #idOf: (check: Check) => string
  readonly kept = new KeptOrders({ clock: systemClock })

  constructor(options: ShopStatementOptions) {
    this.#options = options
    this.#idOf = ({ orderId }) => canonicalId(options.columns.idType, orderId)
  }

  async run(checks: readonly Check[], by: DecidedBy): Promise<Outcome[]> {
    const { connections, statements } = this.#options
    const idOf = this.#idOf
    const answered = new Set<string>()
    const isSilent = (check: Check, outcome: Outcome | undefined) => isLocked(outcome) && !answered.has(idOf(check))
    const ask = (some: readonly Check[], held?: Set<string>) => {
      const attempt = (rest: readonly Check[], undoneOrders: Undone) =>
        this.#attempt(rest, { by, undoneOrders, answered, held })
      return runWatched({ checks: some, idOf, attempt })
    }
    const outcomes = await ask(checks)
    const silent = checks.filter((check, n) => isSilent(check, outcomes[n]))
    if (silent.length === 0) return outcomes

    // Somebody may have locked their rows at that moment: again, with the rows locked by us.
    const held = new Set<string>()
    const again = (await ask(silent, held).catch(() => undefined))?.values()
    const asked = outcomes.map((outcome, n) => {
      const check = checks[n] as Check
      const known = silent.includes(check) ? (again?.next().value ?? outcome) : outcome
      return isSilent(check, known) && held.has(idOf(check)) ? rejected(SILENT, known.evidence) : known
    })
    const isDoubtful = (check: Check) => !answered.has(idOf(check))
    const { lockable } = statements
    return rejectUnlocked({ checks, outcomes: asked, isDoubtful, why: SILENT, connections, lockable, idOf })
  }

  async #attempt(
    checks: readonly Check[],
    asked: { by: DecidedBy; undoneOrders: Undone; answered: Set<string>; held?: Set<string> | undefined },
  ): Promise<Outcome[] | undefined> {
    const { connections, columns, statements, sql, find, actors } = this.#options
    const { by, undoneOrders, answered, held } = asked
    const idOf = this.#idOf
    const input = idsAndDeadlines(checks)
    return connections.transaction('BEGIN', async (client) => {
      const locked = columns.payment || held ? await this.#lock(client, input[0]) : undefined
      for (const id of locked ?? []) held?.add(id)
      const { now: decidedAt } = ANSWERS.now.parse((await client.query(NOW_SQL)).rows[0])
      const before = await find(client, input[0])
      const unreadable = checks.filter((_, n) => before[n]?.setAside === 'unreadable')
      for (const check of unreadable) {
        const { deadline, status } = before[checks.indexOf(check)] ?? {}
        undoneOrders.set(idOf(check), rejected(unreadableDeadline(deadline), { decidedAt, status }))
      }
      const open = payableOf(checks, before, decidedAt)
      for (const [check, outcome] of open) undoneOrders.set(idOf(check), outcome)
      // A row that somebody else holds may be given a payment, which the shop's statement could overwrite unseen.
      const busy = columns.payment
        ? busyOf(checks, before, decidedAt).filter(([check]) => !locked?.has(idOf(check)))
        : []
      for (const [check, outcome] of busy) if (!open.has(check)) undoneOrders.set(idOf(check), outcome)
      if (unreadable.length + open.size + busy.length > 0) return { end: 'ROLLBACK', value: undefined }
      const unpaid = checks.filter((_, n) => before[n]?.isUnpaid)
      const versions = await this.#versionsOf(client, unpaid)
      const { rows } = await client.query<{ id: unknown }>(sql, input)
      const { cancelledStatus } = columns
      const canonical = (orderId: string) => idOf({ orderId, deadline: 0 })
      for (const { id } of rows) answered.add(canonical(String(id)))
      const outcomes = toShopOutcomes({ checks, rows, before, cancelledStatus, decidedAt, canonical })
      const cancelled = checks.flatMap((check, n) => {
        const { kind, evidence } = outcomes[n] as Outcome
        return kind === 'cancelled'
          ? [{ ...check, orderId: idOf(check), deadline: evidence.deadline ?? check.deadline, evidence }]
          : []
      })
      if (cancelled.length > 0) {
        await client.query('SET CONSTRAINTS ALL IMMEDIATE')
        const ids = cancelled.map(({ orderId }) => orderId)
        const after = await find(client, ids)
        const stayed = cancelled.filter((_, n) => after[n]?.isUnpaid)
        for (const { orderId, evidence } of stayed) {
          undoneOrders.set(orderId, rejected(undone(['CANCEL_SQL_FILE', ...actors().names]), evidence))
        }
        // The statement may judge otherwise than we what is due.
        const reopened = payableOf(cancelled, after, decidedAt)
        for (const [{ orderId }, outcome] of reopened) undoneOrders.set(orderId, outcome)
        if (stayed.length + reopened.size > 0) return { end: 'ROLLBACK', value: undefined }
        const statuses = cancelled.map(({ evidence }) => evidence.status ?? null)
        await client.query(statements.insertOutbox, [...idsAndDeadlines(cancelled), statuses, by])
      }
      const kept = unpaid.filter((check) => outcomes[checks.indexOf(check)]?.kind === 'kept')
      const unchanged = [...(await this.#versionsOf(client, kept))].filter(([id, now]) => versions.get(id) === now)
      this.kept.add(new Map(unchanged)) // others may have changed before the statement saw them, or after
      return { end: 'COMMIT', value: outcomes }
    })
  }

  /** Locks the rows that nobody else has locked. @returns their ids */
  async #lock(client: pg.PoolClient, ids: readonly string[]): Promise<Set<string>> {
    const { rows } = await client.query<{ id: string }>(this.#options.statements.lockFree, [ids])
    return new Set(rows.map(({ id }) => this.#idOf({ orderId: id, deadline: 0 })))
  }

  /** What the rows are now, by their ids; none where our role may not read all of a row. */
  async #versionsOf(client: pg.PoolClient, checks: readonly Check[]): Promise<Map<string, string>> {
    const { versions } = this.#options.statements
    if (checks.length === 0 || !versions) return new Map()
    const { rows } = await client.query<{ id: string; version: string }>(versions, [checks.map(this.#idOf)])
    return new Map(rows.map(({ id, version }) => [id, version]))
  }
}

/** What becomes of the unpaid ones if somebody else has locked their rows. */
function busyOf(
  checks: readonly Check[],
  orders: readonly (Order | undefined)[],
  decidedAt: number,
): [Check, Outcome][] {
  return checks.flatMap((check, n): [Check, Outcome][] => {
    const { status, deadline = check.deadline, isUnpaid } = orders[n] ?? {}
    return isUnpaid ? [[check, postponed(deadline, { decidedAt, status, deadline })]] : []
  })
}

/** Those that are due, or cancelled, and have a payment that was not closed, with what follows. @param orders in the order of the checks */
function payableOf<Due extends Check>(
  checks: readonly Due[],
  orders: readonly (Order | undefined)[],
  decidedAt: number,
): Map<Due, Outcome> {
  const open = checks.flatMap((check, n): [Due, Outcome][] => {
    const { payment, status, deadline = check.deadline, isUnpaid } = orders[n] ?? {}
    const isOpen = payment !== undefined && payment.reference !== check.closed
    const isCancelled = 'evidence' in check
    return isOpen && (isCancelled || (isUnpaid && deadline <= decidedAt))
      ? [[check, payable(payment, { decidedAt, status, deadline })]]
      : []
  })
  return new Map(open)
}
