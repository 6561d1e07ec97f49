import type pg from 'pg'
import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { Backlog, DueOrder, KeptEvent, OrderStore } from '../../order/store.ts'
import { systemClock } from '../../runtime/clock.ts'
import { canHoldId, type OrdersColumns, type OrdersMapping, readColumns } from './columns.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { withPool } from './pool.ts'
import { type Prepared, PreparedStatements, prepare } from './prepared.ts'
import {
  backlogRow,
  ceil,
  eventsRow,
  idsAndDeadlines,
  idsAndMs,
  NOW_SQL,
  nowRow,
  orderRow,
  pageRow,
  paymentRow,
  toOutcomes,
} from './rows.ts'
import { toShopOutcomes } from './shop-sql.ts'
import { buildStatements, LOOKED_THROUGH, type Statements, SWEEP_SETTINGS } from './statements.ts'
import { noticeSweep, verifyOutbox, verifyShopSql } from './verification.ts'

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:5432/database` */
  url: string
  mapping: OrdersMapping
  /** The shop's own statement in place of ours; see docs/cancel-sql.md. */
  cancelSql?: string | undefined
  /** Whether the silence of payments is watched: the time of payment must tell it. */
  watchesPayments?: boolean | undefined
  /** Connections at most. */
  connections: number
  /** Errors of idle connections. */
  onError: (error: Error) => void
  /** What works, but not well, in words for people; when the store is opened. */
  onNotice?: ((notice: string) => void) | undefined
}

/** Orders in the shop's own PostgreSQL table. */
export class PostgresStore implements OrderStore {
  readonly #pool: pg.Pool
  readonly #columns: OrdersColumns
  readonly #statements: Statements
  readonly #prepared = new PreparedStatements({ clock: systemClock })
  readonly #cancel: Prepared
  readonly #judge: Prepared
  readonly #mapping: OrdersMapping
  readonly #cancelSql: string | undefined

  private constructor(pool: pg.Pool, columns: OrdersColumns, options: PostgresStoreOptions) {
    this.#pool = pool
    this.#columns = columns
    this.#statements = buildStatements(columns)
    this.#cancel = prepare('cancel', this.#statements.cancelUnpaid)
    this.#judge = prepare('judge', this.#statements.judge)
    this.#mapping = options.mapping
    this.#cancelSql = options.cancelSql
  }

  /**
   * Connects and makes sure that the table, its columns, the outbox and the shop's own statement are as expected.
   *
   * @throws {OrderExpiryError} STORE_UNAVAILABLE and STORE_BUSY (try again), STORE_REFUSED, STORE_MISMATCH, OUTBOX_MISSING
   */
  static async open(options: PostgresStoreOptions): Promise<PostgresStore> {
    return withPool(options, async (pool) => {
      const store = new PostgresStore(pool, await readColumns(pool, options), options)
      await store.#withClient((database) => store.#verify(database, options))
      return store
    })
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

  async find(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    return this.#withClient((client) => this.#findWith(client, orderIds))
  }

  async unpaidDueBefore(instant: number, after: DueOrder | undefined, limit: number): Promise<DueOrder[]> {
    if (!this.#columns.deadline) return []
    const { unpaidStatuses } = this.#mapping
    const values = [unpaidStatuses, instant, after?.deadline ?? null, after?.orderId ?? null, limit]
    const rows = await this.#withClient(async (client) => {
      await client.query(`BEGIN READ ONLY; ${SWEEP_SETTINGS}`)
      try {
        return (await client.query(this.#statements.unpaidDueBefore, values)).rows
      } finally {
        await client.query('ROLLBACK')
      }
    })
    return z
      .array(pageRow)
      .parse(rows)
      .map(({ id, deadline }) => ({ orderId: id, deadline }))
  }

  async newestPayment(): Promise<number | undefined> {
    if (!this.#statements.newestPayment) return undefined
    const { rows } = await this.#query(this.#statements.newestPayment, [])
    return ceil(paymentRow.parse(rows[0]).paid_at)
  }

  async outbox(): Promise<Backlog> {
    const { rows } = await this.#query(this.#statements.outbox, [])
    const { events, age } = backlogRow.parse(rows[0])
    return { events, oldestAgeMs: age === null ? undefined : Math.max(0, age) }
  }

  async eventsOf(orderId: string): Promise<KeptEvent[] | undefined> {
    const { rows } = await this.#query(this.#statements.eventsOf, [this.#canonical(orderId)])
    const { looked, events } = eventsRow.parse(rows[0])
    return events.length === 0 && looked === LOOKED_THROUGH
      ? undefined
      : events.map((event) => ({ ...event, at: Math.ceil(event.at) }))
  }

  async ping(): Promise<number> {
    return this.#withClient(async (client) => {
      const { rows } = await client.query(NOW_SQL)
      const { now, read_only: isReadOnly } = nowRow.parse(rows[0])
      if (isReadOnly) {
        throw new OrderExpiryError(
          'STORE_READ_ONLY',
          'PostgreSQL takes no writes now: it is a standby, or set to read only',
        )
      }
      // Has every name and permission checked, and runs nothing.
      if (this.#cancelSql) {
        await client.query(`EXPLAIN ${this.#cancelSql}`, idsAndDeadlines([]))
        await client.query(`EXPLAIN ${this.#statements.insertOutbox}`, idsAndDeadlines([]))
      } else {
        await client.query(`EXPLAIN ${this.#statements.cancelUnpaid}`, this.#cancelValues([]))
      }
      return Math.ceil(now)
    })
  }

  async #verify(database: pg.PoolClient, options: PostgresStoreOptions): Promise<void> {
    const parts = { database, columns: this.#columns }
    await verifyOutbox(parts)
    if (this.#cancelSql) await verifyShopSql({ database, cancelSql: this.#cancelSql })
    // An empty batch changes nothing, but has every name and permission checked.
    else await database.query(this.#statements.cancelUnpaid, this.#cancelValues([]))
    await noticeSweep({ ...parts, mapping: this.#mapping }, options.onNotice ?? (() => {}))
  }

  async close(): Promise<void> {
    await this.#pool.end().catch(() => {})
  }

  #cancelValues(checks: readonly Check[]): unknown[] {
    return [...idsAndMs(checks), this.#mapping.unpaidStatuses, this.#mapping.cancelledStatus]
  }

  async #decide(checks: readonly Check[], isDryRun: boolean): Promise<Outcome[]> {
    if (this.#cancelSql && !isDryRun) return this.#runShopSql(checks)
    const values = this.#cancelValues(checks)
    const rows = await this.#withClient((client) =>
      isDryRun
        ? this.#prepared.run(client, this.#judge, values.slice(0, 3))
        : this.#prepared.run(client, this.#cancel, values),
    )
    return toOutcomes(rows, this.#mapping.cancelledStatus)
  }

  /** The shop's statement and our outbox rows in one transaction: both, or neither. */
  async #runShopSql(checks: readonly Check[]): Promise<Outcome[]> {
    const input = idsAndDeadlines(checks)
    return this.#withClient(async (client) => {
      await client.query('BEGIN')
      try {
        const { rows: clock } = await client.query(NOW_SQL)
        const decidedAt = Math.ceil(nowRow.parse(clock[0]).now)
        const before = await this.#findWith(client, input[0])
        const { rows } = await client.query(this.#cancelSql as string, input)
        const canonical = (id: string) => this.#canonical(id)
        const { cancelledStatus } = this.#mapping
        const outcomes = toShopOutcomes({ checks, rows, before, cancelledStatus, decidedAt, canonical })
        const cancelled = checks.flatMap(({ orderId, deadline }, index) => {
          const { kind, evidence } = outcomes[index] as Outcome
          return kind === 'cancelled'
            ? [{ orderId: this.#canonical(orderId), deadline: evidence.deadline ?? deadline }]
            : []
        })
        if (cancelled.length > 0) await client.query(this.#statements.insertOutbox, idsAndDeadlines(cancelled))
        await client.query('COMMIT')
        return outcomes
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  async #findWith(client: pg.PoolClient, orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    const ids = orderIds.filter((id) => canHoldId(this.#columns.idType, id))
    const { rows } = await client.query(this.#statements.find, [ids, this.#mapping.unpaidStatuses])
    const byId = new Map(
      z
        .array(orderRow)
        .parse(rows)
        .map((row) => [row.id, row]),
    )
    return orderIds.map((orderId) => {
      const row = byId.get(this.#canonical(orderId))
      if (!row) return undefined
      const { status, unpaid: isUnpaid, deadline, cancelled_at: cancelledAt, paid_at: paidAt } = row
      return {
        orderId,
        status,
        isUnpaid,
        deadline: ceil(deadline),
        cancelledAt: ceil(cancelledAt),
        ...(paidAt !== null && { paidAt: ceil(paidAt) }),
      }
    })
  }

  /** The id as the database writes it. */
  #canonical(orderId: string): string {
    return this.#columns.idType === 'uuid' ? orderId.toLowerCase() : orderId
  }

  #query(sql: string, values: unknown[]): Promise<pg.QueryResult> {
    return this.#withClient((client) => client.query(sql, values))
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
