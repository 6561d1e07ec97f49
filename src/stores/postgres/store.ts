import type pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { Backlog, DueOrder, KeptEvent, OrderStore } from '../../order/store.ts'
import { systemClock } from '../../runtime/clock.ts'
import { canHoldId, type OrdersColumns, readColumns } from './columns.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { EVENTS_SEARCHED } from './outbox.ts'
import { withPool } from './pool.ts'
import { PreparedStatements, prepare } from './prepared.ts'
import { ANSWERS, idsAndDeadlines, idsAndMs, NOW_SQL, toOutcomes } from './rows.ts'
import type { PostgresStoreOptions } from './settings.ts'
import { toShopOutcomes } from './shop-sql.ts'
import { buildStatements, explanations, SWEEP_SETTINGS } from './statements.ts'
import { noticeSweep, verifyOutbox, verifyShopSql } from './verification.ts'

/** Orders in the shop's own PostgreSQL table. */
export class PostgresStore implements OrderStore {
  readonly #pool: pg.Pool
  readonly #columns: OrdersColumns
  readonly #options: PostgresStoreOptions
  readonly #statements: ReturnType<typeof buildStatements>
  readonly #cancel: ReturnType<typeof prepare>
  readonly #dryRun: ReturnType<typeof prepare>
  readonly #prepared = new PreparedStatements({ clock: systemClock })
  /** The id as the database writes it. */
  readonly #canonical = (id: string) => (this.#columns.idType === 'uuid' ? id.toLowerCase() : id)

  private constructor(pool: pg.Pool, columns: OrdersColumns, options: PostgresStoreOptions) {
    this.#pool = pool
    this.#columns = columns
    this.#options = options
    this.#statements = buildStatements(columns)
    this.#cancel = prepare('cancel', this.#statements.cancelUnpaid)
    this.#dryRun = prepare('dry_run', this.#statements.dryRun)
  }

  /** Connects and checks the table, the outbox and the shop's statement. @throws {OrderExpiryError} STORE_*, OUTBOX_MISSING */
  static async open(options: PostgresStoreOptions): Promise<PostgresStore> {
    return withPool(options, async (pool) => {
      const store = new PostgresStore(pool, await readColumns(pool, options), options)
      await store.#withClient((client) => store.#verify(client))
      return store
    })
  }

  async #verify(database: pg.PoolClient): Promise<void> {
    const { onNotice, settings } = this.#options
    const table = { database, columns: this.#columns }
    await verifyOutbox(table)
    if (settings.cancelSql) await verifyShopSql(database, settings.cancelSql)
    // An empty batch changes nothing, but has every name and permission checked.
    else await database.query(this.#statements.cancelUnpaid, this.#cancelValues([]))
    if (onNotice) await noticeSweep(table, onNotice)
  }

  async cancelUnpaid(checks: readonly Check[], options: { dryRun?: boolean } = {}): Promise<Outcome[]> {
    const { idType } = this.#columns
    const holdable = checks.filter(({ orderId }) => canHoldId(idType, orderId))
    const found = holdable.length === 0 ? [] : await this.#decide(holdable, Boolean(options.dryRun))
    if (holdable.length === checks.length) return found
    const decidedAt = found[0]?.evidence.decidedAt ?? (await this.ping())
    const outcomes = found.values()
    return checks.map(({ orderId }) =>
      canHoldId(idType, orderId) ? (outcomes.next().value as Outcome) : { kind: 'missing', evidence: { decidedAt } },
    )
  }

  async #decide(checks: readonly Check[], isDryRun: boolean): Promise<Outcome[]> {
    const { cancelSql } = this.#options.settings
    if (cancelSql && !isDryRun) return this.#runShopSql(checks, cancelSql)
    const values = this.#cancelValues(checks)
    const [statement, input] = isDryRun ? [this.#dryRun, values.slice(0, 3)] : [this.#cancel, values]
    const rows = await this.#withClient((client) => this.#prepared.run(client, statement, input))
    return toOutcomes(rows, this.#columns.cancelledStatus)
  }

  #cancelValues(checks: readonly Check[]): unknown[] {
    const { unpaidStatuses, cancelledStatus } = this.#columns
    return [...idsAndMs(checks), unpaidStatuses, cancelledStatus]
  }

  /** The shop's statement and our outbox rows in one transaction: both, or neither. */
  async #runShopSql(checks: readonly Check[], cancelSql: string): Promise<Outcome[]> {
    const input = idsAndDeadlines(checks)
    return this.#inTransaction('BEGIN', 'COMMIT', async (client) => {
      const { now: decidedAt } = ANSWERS.now.parse((await client.query(NOW_SQL)).rows[0])
      const before = await this.#findWith(client, input[0])
      const { rows } = await client.query(cancelSql, input)
      const { cancelledStatus } = this.#columns
      const canonical = this.#canonical
      const outcomes = toShopOutcomes({ checks, rows, before, cancelledStatus, decidedAt, canonical })
      const cancelled = checks.flatMap(({ orderId, deadline }, index) => {
        const { kind, evidence } = outcomes[index] as Outcome
        return kind === 'cancelled' ? [{ orderId: canonical(orderId), deadline: evidence.deadline ?? deadline }] : []
      })
      if (cancelled.length > 0) await client.query(this.#statements.insertOutbox, idsAndDeadlines(cancelled))
      return outcomes
    })
  }

  async find(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    return this.#withClient((client) => this.#findWith(client, orderIds))
  }

  async #findWith(client: pg.PoolClient, orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    const ids = orderIds.filter((id) => canHoldId(this.#columns.idType, id))
    const { rows } = await client.query(this.#statements.find, [ids, this.#columns.unpaidStatuses])
    const byId = new Map(ANSWERS.orders.parse(rows).map((order) => [order.orderId, order]))
    return orderIds.map((orderId) => {
      const order = byId.get(this.#canonical(orderId))
      return order && { ...order, orderId }
    })
  }

  async unpaidDueBefore(instant: number, after: DueOrder | undefined, limit: number): Promise<DueOrder[]> {
    const { unpaidDueBefore } = this.#statements
    if (!unpaidDueBefore) return []
    const values = [this.#columns.unpaidStatuses, instant, after?.deadline ?? null, after?.orderId ?? null, limit]
    return this.#inTransaction(`BEGIN READ ONLY; ${SWEEP_SETTINGS}`, 'ROLLBACK', async (client) =>
      ANSWERS.page.parse((await client.query(unpaidDueBefore, values)).rows),
    )
  }

  async newestPayment(): Promise<number | undefined> {
    const { newestPayment } = this.#statements
    return newestPayment ? ANSWERS.payment.parse(await this.#one(newestPayment)).paidAt : undefined
  }

  async outbox(): Promise<Backlog> {
    const { events, ageMs } = ANSWERS.outbox.parse(await this.#one(this.#statements.outbox))
    return { events, oldestAgeMs: ageMs === null ? undefined : Math.max(0, ageMs) }
  }

  async eventsOf(orderId: string): Promise<KeptEvent[] | undefined> {
    const row = await this.#one(this.#statements.eventsOf, [this.#canonical(orderId)])
    const { searched, events } = ANSWERS.events.parse(row)
    return events.length === 0 && searched === EVENTS_SEARCHED ? undefined : events
  }

  async ping(): Promise<number> {
    return this.#withClient(async (client) => {
      const { now, isReadOnly } = ANSWERS.now.parse((await client.query(NOW_SQL)).rows[0])
      if (isReadOnly) {
        const message = 'PostgreSQL takes no writes now: it is a standby, or set to read only'
        throw new OrderExpiryError('STORE_READ_ONLY', message)
      }
      for (const { sql, values } of explanations(this.#columns, this.#options.settings.cancelSql)) {
        await client.query(sql, values)
      }
      return now
    })
  }

  async close(): Promise<void> {
    await this.#pool.end().catch(() => {})
  }

  /** The row of a statement that has exactly one. */
  async #one(sql: string, values: unknown[] = []): Promise<unknown> {
    return this.#withClient(async (client) => (await client.query(sql, values)).rows[0])
  }

  async #inTransaction<T>(begin: string, end: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.#withClient(async (client) => {
      await client.query(begin)
      try {
        const result = await work(client)
        await client.query(end)
        return result
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient | undefined
    let broken = false
    try {
      client = await this.#pool.connect()
      return await work(client)
    } catch (error) {
      broken = sqlStateOf(error) === undefined
      throw asStoreError(error)
    } finally {
      client?.release(broken || this.#prepared.isWorn(client))
    }
  }
}
