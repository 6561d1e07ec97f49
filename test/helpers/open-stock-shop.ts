import type pg from 'pg'
import { createSettle } from '../../src/order/settle.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from './closing.ts'
import { OrdersTable } from './orders-table.ts'
import { AT_FIRST, type Basket, CANCEL, holdings, PAY, PLACE, placing, STOCKED } from './stock-shop.ts'

/** Cancels the orders that are unpaid and due, as a worker does. @returns what has become of each, or the code of an error */
type Cancel = (ids: readonly string[]) => Promise<string[]>

/** The shop of docs/stock.md, in a schema of its own that is removed after the test. */
export class StockShop {
  readonly table: OrdersTable
  readonly pool: pg.Pool

  private constructor(table: OrdersTable) {
    this.table = table
    this.pool = table.pool
  }

  static async open(): Promise<StockShop> {
    const table = await OrdersTable.create({ hasTrigger: false })
    closing.push(() => table.drop())
    await table.migrate()
    await table.pool.query(`DROP TABLE orders; ${STOCKED}`)
    return new StockShop(table)
  }

  get url(): string {
    return `${this.table.settings.DATABASE_URL}?options=${encodeURIComponent(`-c search_path=${this.table.schema}`)}`
  }

  /** @param options.as the role that cancels; default the owner */
  async canceller(options: { cancelSql?: string; as?: string } = {}): Promise<Cancel> {
    const { cancelSql = CANCEL, as } = options
    const url = new URL(this.url)
    if (as) url.username = as
    const settings = { DATABASE_URL: url.href, ORDERS_CANCELLED_AT_COLUMN: undefined, cancelSql }
    const store = await PostgresStore.open(this.table.storeOptions({ settings }))
    closing.push(() => store.close())
    const settle = createSettle({ store, clock: systemClock })
    return async (ids) => {
      const settlements = await settle(ids.map((orderId) => ({ orderId, deadline: Date.now() - 1_000 })))
      return settlements.map((one) => (one.kind === 'failed' ? one.error.code : one.kind))
    }
  }

  /** @param deadline default: it has passed */
  async place(taken: Basket, deadline = Date.now() - 1_000): Promise<string> {
    return (await this.pool.query<{ id: string }>(PLACE, placing(deadline, taken))).rows[0]?.id as string
  }

  /** One after the other, so that their ids are in the order of the baskets. */
  async placeAll(baskets: readonly Basket[]): Promise<string[]> {
    const ids: string[] = []
    for (const taken of baskets) ids.push(await this.place(taken))
    return ids
  }

  /** @returns whether it was in time */
  async pay(id: string): Promise<boolean> {
    return (await this.pool.query(PAY, [id])).rows.length === 1
  }

  async pending(): Promise<string[]> {
    const { rows } = await this.pool.query<{ id: string }>(`SELECT id FROM orders WHERE status = 'pending'`)
    return rows.map(({ id }) => id)
  }

  async cancelled(): Promise<string[]> {
    const { rows } = await this.pool.query<{ id: string }>(
      `SELECT id FROM orders WHERE status = 'cancelled' ORDER BY id`,
    )
    return rows.map(({ id }) => id)
  }

  /** The orders of which an event tells. */
  async announced(): Promise<string[]> {
    const events = await this.table.outbox()
    return events.map(({ order_id }) => order_id).sort((a, b) => Number(a) - Number(b))
  }

  /** By how much each holding differs from what there was before the first order; without those that do not. */
  async moved(): Promise<Record<string, number>> {
    const all = (await holdings(this.pool)).map(
      ({ what, held }) => [what, held - (/ (?:reserved|sold)$/.test(what) ? 0 : AT_FIRST)] as const,
    )
    return Object.fromEntries(all.filter(([, difference]) => difference !== 0))
  }
}
