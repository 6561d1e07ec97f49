import type pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { Outbox } from '../../order/outbox.ts'
import type {
  Backlog,
  CancelOptions,
  DueOrder,
  KeptEvent,
  OrderStore,
  SetAside,
  ToldPaidLate,
} from '../../order/store.ts'
import { type Actors, expectSameTypes, readActors } from './actors.ts'
import { Cancellation } from './cancellation.ts'
import type { OrdersColumns } from './columns.ts'
import { Connections, reading } from './connections.ts'
import { PostgresDeliveries } from './deliveries.ts'
import { canHoldId, canonicalId } from './ids.ts'
import { readColumns } from './inspection.ts'
import { deliveriesIn } from './kept-deliveries.ts'
import { LatePayments } from './late-payments.ts'
import { EVENTS_SEARCHED } from './outbox.ts'
import { createPool, withPool } from './pool.ts'
import { readOnly } from './read-only.ts'
import { ANSWERS, NOW_SQL } from './rows.ts'
import type { PostgresStoreOptions } from './settings.ts'
import { ShopStatement } from './shop-statement.ts'
import { BACKLOG_AFTER_MS, buildStatements, explanations, SWEEP_SETTINGS } from './statements.ts'
import { noticeTable, verifyCancelSql, verifyRecords, verifyReopenSql } from './verification.ts'

/** Connections for single orders and figures that somebody asks for. */
const LOOKS = 2
/** Connections for who delivers events: to read, and to note what was delivered. */
const RELAYS = 2

interface Parts {
  pool: ReturnType<typeof createPool>
  columns: OrdersColumns
  records: Awaited<ReturnType<typeof verifyRecords>>
  actors: Actors
  options: PostgresStoreOptions
}

/** Orders in the shop's own PostgreSQL table. */
export class PostgresStore implements OrderStore {
  readonly #connections: Connections
  /** Those of who only looks, and of the probes, so that neither holds up the other, or the cancellations. */
  readonly #looks: Connections
  readonly #probes: Connections
  /** Those of who delivers events, which may be many. */
  readonly #relays: Connections
  readonly deliveries: Outbox | undefined
  readonly #columns: OrdersColumns
  readonly #cancelSql: string | undefined
  readonly #access: 'read' | undefined
  readonly #statements: ReturnType<typeof buildStatements>
  readonly #cancellation: Cancellation
  readonly #shopStatement: ShopStatement | undefined
  readonly #latePayments: LatePayments | undefined
  #actors: Actors

  private constructor({ pool, columns, records, actors, options }: Parts) {
    const { cancelSql } = options.settings
    const { access } = options
    this.#connections = new Connections({ pool, access })
    const shared = { ways: pool.ways }
    this.#looks = new Connections({ pool: createPool({ ...options, ...shared, connections: LOOKS }), access })
    this.#probes = new Connections({ pool: createPool({ ...options, ...shared, connections: 1 }), access })
    this.#relays = new Connections({ pool: createPool({ ...options, ...shared, connections: RELAYS }), access })
    this.deliveries = records.hasDeliveries ? new PostgresDeliveries({ connections: this.#relays, columns }) : undefined
    this.#access = access
    this.#columns = columns
    this.#actors = actors
    this.#cancelSql = cancelSql
    const range = {
      backlogEndMs: records.firstSeen - BACKLOG_AFTER_MS,
      hasDeliveries: records.hasDeliveries,
      remembersKept: cancelSql !== undefined && !options.access && columns.isReadable,
    }
    this.#statements = buildStatements(columns, range)
    const parts = {
      connections: this.#connections,
      columns,
      statements: this.#statements,
      actors: () => this.#actors,
      lookAgain: () => this.#connections.with((client) => this.#lookAtActors(client)),
    }
    this.#cancellation = new Cancellation(parts)
    this.#shopStatement =
      cancelSql === undefined || options.access
        ? undefined
        : new ShopStatement({ ...parts, sql: cancelSql, find: (...asked) => this.#findWith(...asked) })
    const { reopenSql, REOPEN_WITHIN: reopenMs } = options.settings
    this.#latePayments =
      access || !records.hasLatePayments
        ? undefined
        : new LatePayments({ connections: this.#connections, columns, reopenSql, reopenMs })
  }

  /** Connects and checks the table, the outbox and, unless it only reads, the statement that cancels. @throws {OrderExpiryError} STORE_*, OUTBOX_MISSING */
  static async open(options: PostgresStoreOptions): Promise<PostgresStore> {
    return withPool(options, async (pool) => {
      if (options.access) return PostgresStore.#openToRead(pool, options)
      const columns = await readColumns(pool, options)
      const table = { database: pool, columns }
      const records = await verifyRecords(table, { areDelivered: options.areDelivered ?? false })
      const store = new PostgresStore({ pool, columns, records, actors: await readActors(table), options })
      const { cancelSql, reopenSql } = options.settings
      if (reopenSql) await store.#connections.with((client) => verifyReopenSql(client, reopenSql))
      if (cancelSql) await store.#connections.with((client) => verifyCancelSql(client, cancelSql))
      // An empty batch changes nothing, but has every name and permission checked.
      else await store.#cancellation.run([], 'check')
      const { onNotice } = options
      if (onNotice) {
        // Looks are bounded by settings of a transaction, and so need one connection.
        await store.#connections.with((client) => noticeTable({ database: client, columns, cancelSql }, onNotice))
      }
      return store
    })
  }

  /** Neither the shop's statement nor ours is run: whoever looks need not be allowed to write. */
  static async #openToRead(pool: Parts['pool'], options: PostgresStoreOptions): Promise<PostgresStore> {
    const client = await pool.connect()
    const database = readOnly(client)
    try {
      const columns = await readColumns(database, options)
      const table = { database, columns }
      const records = await verifyRecords(table, { areDelivered: false })
      const store = new PostgresStore({ pool, columns, records, actors: await readActors(table), options })
      await database.query('ROLLBACK')
      client.release()
      return store
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async cancelUnpaid(checks: readonly Check[], options: CancelOptions = {}): Promise<Outcome[]> {
    const { idType } = this.#columns
    const holdable = checks.filter(({ orderId }) => canHoldId(idType, orderId))
    const found = holdable.length === 0 ? [] : await this.#decide(holdable, options)
    if (holdable.length === checks.length) return found
    const decidedAt = found[0]?.evidence.decidedAt ?? (await this.ping())
    const outcomes = found.values()
    return checks.map(({ orderId }) =>
      canHoldId(idType, orderId) ? (outcomes.next().value as Outcome) : { kind: 'missing', evidence: { decidedAt } },
    )
  }

  #decide(checks: readonly Check[], { dryRun, by = 'check' }: CancelOptions): Promise<Outcome[]> {
    if (dryRun) return this.#cancellation.dryRun(checks)
    return (this.#shopStatement ?? this.#cancellation).run(checks, by)
  }

  async find(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    return reading(this.#looks.with((client) => this.#findWith(client, orderIds)))
  }

  async #findWith(client: pg.PoolClient, orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    const { idType } = this.#columns
    const ids = orderIds.filter((id) => canHoldId(idType, id))
    const { rows } = await client.query(this.#statements.find, [ids])
    const byId = new Map(ANSWERS.orders.parse(rows).map((order) => [canonicalId(idType, order.orderId), order]))
    return orderIds.map((orderId) => {
      const order = byId.get(canonicalId(idType, orderId))
      if (!order) return undefined
      const { setAside, ...found } = order
      return { ...found, orderId, ...(setAside && order.isUnpaid && { setAside }) }
    })
  }

  async unpaidDueBefore(
    instant: number,
    after: DueOrder | undefined,
    limit: number,
    { backlog = false }: { backlog?: boolean } = {},
  ): Promise<DueOrder[]> {
    const { unpaidDueBefore, backlogDueBefore } = this.#statements
    const sql = backlog ? backlogDueBefore : unpaidDueBefore
    if (!sql) return []
    const leftOut = this.#statements.versions && this.#shopStatement ? this.#shopStatement.kept.leftOut() : []
    const values = [instant, after?.deadline ?? null, after?.orderId ?? null, limit, ...leftOut]
    const page = this.#connections.transaction(`BEGIN READ ONLY; ${SWEEP_SETTINGS}`, async (client) => {
      return { end: 'ROLLBACK', value: ANSWERS.page.parse((await client.query(sql, values)).rows) }
    })
    return reading(page)
  }

  async setAside(): Promise<SetAside> {
    const { setAside } = this.#statements
    if (!setAside) return { backlog: { orders: 0 }, unreadable: { orders: 0, examples: [] } }
    return ANSWERS.setAside.parse(await this.#one(setAside))
  }

  /** Cancellations wait for it, so it shares their connections, not those of the looks. */
  async newestPayment(): Promise<number | undefined> {
    const { newestPayment } = this.#statements
    if (!newestPayment) return undefined
    return ANSWERS.payment.parse(await this.#one(newestPayment, [], this.#connections)).paidAt
  }

  async tellPaidLate(): Promise<ToldPaidLate> {
    return (await this.#latePayments?.tell()) ?? { orders: [], isMore: false }
  }

  async outbox(): Promise<Backlog> {
    const { events, ageMs } = ANSWERS.outbox.parse(await this.#one(this.#statements.outbox))
    return { events, oldestAgeMs: ageMs === null ? undefined : Math.max(0, ageMs) }
  }

  async eventsOf(orderId: string, sinks: readonly string[] = []): Promise<KeptEvent[] | undefined> {
    const { idType } = this.#columns
    if (!canHoldId(idType, orderId)) return []
    const row = await this.#one(this.#statements.eventsOf, [canonicalId(idType, orderId)])
    const { searched, events } = ANSWERS.events.parse(row)
    if (events.length === 0 && searched === EVENTS_SEARCHED) return undefined
    return events.map(({ id, type, at, deliveredTo, attempts = {}, deliveredAt }) => {
      const isTold = sinks.length > 0 && deliveredTo
      return {
        id,
        type,
        at,
        ...(isTold && { deliveries: deliveriesIn({ deliveredTo, attempts, deliveredAt }, sinks) }),
      }
    })
  }

  async ping(): Promise<number> {
    return reading(this.#probes.with((client) => this.#probe(client)))
  }

  async #probe(client: pg.PoolClient): Promise<number> {
    const { now, isReadOnly } = ANSWERS.now.parse((await client.query(NOW_SQL)).rows[0])
    if (this.#access) return now
    if (isReadOnly) {
      const message = 'PostgreSQL takes no writes now: it is a standby, or set to read only'
      throw new OrderExpiryError('STORE_READ_ONLY', message)
    }
    for (const { sql, values } of explanations(this.#columns, this.#cancelSql)) await client.query(sql, values)
    await this.#lookAtActors(client)
    return now
  }

  async #lookAtActors(client: pg.PoolClient): Promise<void> {
    const actors = await readActors({ database: client, columns: this.#columns })
    expectSameTypes(this.#columns, this.#actors, actors)
    this.#actors = actors
  }

  async close(): Promise<void> {
    await Promise.all([this.#connections, this.#looks, this.#probes, this.#relays].map((each) => each.close()))
  }

  /** The row of a statement that has exactly one. */
  async #one(sql: string, values: unknown[] = [], connections = this.#looks): Promise<unknown> {
    return reading(connections.with(async (client) => (await client.query(sql, values)).rows[0]))
  }
}
