import type pg from 'pg'
import { asOrderExpiryError, blameOf, OrderExpiryError } from '../../errors.ts'
import type { PaidLate, ToldPaidLate } from '../../order/store.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { OrdersColumns } from './columns.ts'
import type { Connections } from './connections.ts'
import { asStoreError } from './errors.ts'
import { canonicalId } from './ids.ts'
import type { lateStatements } from './late-statements.ts'

/** In one call, so that sweeps go on, however slow the statement is: the others come with the next sweep. */
const MOST_TIME_MS = 2_000

interface ReopeningOptions {
  connections: Connections
  columns: OrdersColumns
  statements: ReturnType<typeof lateStatements>
  /** The text of REOPEN_SQL_FILE. */
  sql: string
}

/** Has the shop's own statement reopen orders that were paid soon after their cancellation, each in a transaction with its event. */
export class Reopening {
  readonly #options: ReopeningOptions

  constructor(options: ReopeningOptions) {
    this.#options = options
  }

  /**
   * Never rejects. Each order is then told of, reopened or not; but one that is locked, that a fault of the database keeps, or for which
   * there was no time, is tried again the next time.
   */
  async run(orderIds: readonly string[]): Promise<Pick<ToldPaidLate, 'orders' | 'failed'>> {
    const orders: PaidLate[] = []
    let failed: OrderExpiryError | undefined
    const endsAt = systemClock.monotonic() + MOST_TIME_MS
    for (const orderId of orderIds) {
      if (systemClock.monotonic() >= endsAt) break
      try {
        const { order, failure } = await this.#reopen(orderId)
        if (order) orders.push(order)
        failed ??= failure
      } catch (cause) {
        const error = asOrderExpiryError(cause)
        failed ??= error
        if (blameOf(error) === 'store') break
      }
    }
    return { orders, ...(failed && { failed }) }
  }

  #reopen(orderId: string): Promise<{ order?: PaidLate; failure?: OrderExpiryError }> {
    const { connections, statements } = this.#options
    return connections.transaction('BEGIN', async (client) => {
      const { rowCount } = await client.query(statements.claim, [orderId])
      if (!rowCount) return { end: 'ROLLBACK', value: {} } // locked, or no longer late
      const { rows } = await client.query<Record<'paidAt' | 'cancelledAt' | 'deadline', string>>(statements.facts, [
        orderId,
      ])
      await client.query('SAVEPOINT reopen')
      const { reopened, failure } = await this.#ask(client, orderId)
      if (!reopened) await client.query('ROLLBACK TO SAVEPOINT reopen')
      const { paidAt, cancelledAt, deadline } = rows[0] ?? {}
      await client.query(statements.event, [orderId, paidAt, cancelledAt, deadline, reopened])
      return {
        end: 'COMMIT',
        value: { order: { orderId, ...(reopened && { reopened }) }, ...(failure && { failure }) },
      }
    })
  }

  /** Throws what may be otherwise the next time. */
  async #ask(client: pg.PoolClient, orderId: string): Promise<{ reopened: boolean; failure?: OrderExpiryError }> {
    const { columns, statements, sql } = this.#options
    const canonical = (id: unknown) => canonicalId(columns.idType, String(id))
    try {
      const { rows } = await client.query<{ id: unknown }>(sql, [[orderId]])
      if (!rows.some(({ id }) => canonical(id) === canonical(orderId))) return { reopened: false }
      await client.query('SET CONSTRAINTS ALL IMMEDIATE') // runs what would run at the end
      const still = await client.query<{ isStill: boolean }>(statements.isStillLate, [orderId])
      if (!still.rows[0]?.isStill) return { reopened: true }
      const given = `answers with order ${orderId}, whose row is still cancelled`
      const message = `REOPEN_SQL_FILE: expected the orders that it has made paid, it ${given} (docs/payments.md)`
      return { reopened: false, failure: new OrderExpiryError('STORE_REJECTED', message) }
    } catch (cause) {
      const error = asStoreError(cause)
      if (!['STORE_REJECTED', 'STORE_MISMATCH', 'STORE_REFUSED'].includes(error.code)) throw error
      const message = `REOPEN_SQL_FILE: order ${orderId} stays cancelled: ${error.message}`
      return { reopened: false, failure: new OrderExpiryError(error.code, message, { cause: error }) }
    }
  }
}
