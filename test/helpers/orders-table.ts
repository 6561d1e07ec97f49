import pg from 'pg'
import { EventBus } from '../../src/observe/events.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import type { PostgresSettings, PostgresStoreOptions } from '../../src/stores/postgres/settings.ts'
import { databaseUrl, uniqueName } from './env.ts'
import { postgresSettings } from './postgres-settings.ts'

export interface TableOptions {
  idType?: string
  /** null: no such column; a condition and an assignment take its place */
  statusType?: 'text' | 'varchar(20)' | 'enum' | 'integer' | 'boolean' | null
  /** null: no such column */
  deadlineType?: 'timestamptz' | 'timestamp' | 'bigint' | null
  /** Of a deadline of type bigint. */
  deadlineUnit?: 's' | 'ms'
  /** The deadline is so much later than what its column says. */
  deadlineAfterMs?: number
  /** In which the times of type timestamp are written. */
  timeZone?: string
  paidAt?: boolean
  /** `view`: over a table whose key has two columns, ids are `1-…`; `partitioned`: by something else than the id */
  shape?: 'table' | 'view' | 'partitioned'
  /** Whether a trigger records every change of status. A store looks at what triggers have done. */
  hasTrigger?: boolean
}

type Status = 'pending' | 'paid' | 'cancelled' | 'shipped'

const DEFAULTS: Required<TableOptions> = {
  idType: 'bigint',
  statusType: 'text',
  deadlineType: 'timestamptz',
  deadlineUnit: 'ms',
  deadlineAfterMs: 0,
  timeZone: 'UTC',
  paidAt: true,
  shape: 'table',
  hasTrigger: true,
}

/** How the statuses are written. A boolean tells only whether an order has been cancelled. */
const WRITTEN: Record<'integer' | 'boolean' | 'none', Record<Status, string>> = {
  integer: { pending: '0', paid: '1', cancelled: '5', shipped: '2' },
  boolean: { pending: 'false', paid: 'false', cancelled: 'true', shipped: 'false' },
  none: { pending: '', paid: '', cancelled: '', shipped: '' },
}

/** What a test wants otherwise than {@link OrdersTable.storeOptions} has it. */
export interface StoreOverrides extends Partial<Omit<PostgresStoreOptions, 'settings'>> {
  settings?: Partial<PostgresSettings>
}

/** A shop's orders table in a schema of its own. */
export class OrdersTable {
  readonly pool: pg.Pool
  readonly schema: string
  readonly options: Required<TableOptions>

  readonly #url: string

  private constructor(schema: string, options: Required<TableOptions>, url: string) {
    this.schema = schema
    this.options = options
    this.#url = url
    this.pool = new pg.Pool({ connectionString: url, max: 50, options: `-c search_path=${schema},public` })
  }

  /** @param url of another database than the one that the test run shares */
  static async create(options: TableOptions = {}, url: string = databaseUrl()): Promise<OrdersTable> {
    const table = new OrdersTable(uniqueName('shop'), { ...DEFAULTS, ...options }, url)
    const { pool, schema } = table
    await pool.query(`CREATE SCHEMA ${schema}`)
    if (table.options.idType === 'citext') await createExtension(pool, 'citext')
    if (table.options.statusType === 'enum')
      await pool.query(`CREATE TYPE order_status AS ENUM ('pending', 'paid', 'cancelled', 'shipped')`)
    await pool.query(table.#createSql())
    if (table.options.hasTrigger) await pool.query(table.#triggerSql())
    return table
  }

  #createSql(): string {
    const { idType, deadlineType, paidAt, shape } = this.options
    const time = deadlineType === 'timestamp' ? 'timestamp' : 'timestamptz'
    const columns = [
      this.#statusSql ? `status ${this.#statusSql} NOT NULL` : 'is_closed boolean NOT NULL DEFAULT false',
      deadlineType && `payment_deadline ${deadlineType}`,
      paidAt && `paid_at ${time}`,
      `cancelled_at ${time}`,
      'note text',
    ].filter(Boolean)
    const shapes = {
      table: `CREATE TABLE orders (id ${idType} PRIMARY KEY, ${columns})`,
      partitioned: `CREATE TABLE orders (id ${idType}, shop int DEFAULT 1, ${columns}, PRIMARY KEY (id, shop)) PARTITION BY LIST (shop);
        CREATE TABLE orders_of_1 PARTITION OF orders FOR VALUES IN (1);
        CREATE TABLE orders_of_others PARTITION OF orders DEFAULT`,
      view: `CREATE TABLE orders_of_shops (shop int DEFAULT 1, no ${idType}, ${columns}, PRIMARY KEY (shop, no));
        CREATE INDEX ON orders_of_shops ((shop || '-' || no));
        CREATE VIEW orders AS SELECT shop || '-' || no AS id, * FROM orders_of_shops`,
    }
    return shapes[shape]
  }

  #triggerSql(): string {
    const { schema } = this
    return `
      CREATE TABLE audit (order_id text, before text, after text, paid_at timestamptz, at timestamptz DEFAULT clock_timestamp());
      CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO ${schema}.audit (order_id, before, after, paid_at)
        VALUES (NEW.id::text, OLD.status::text, NEW.status::text, ${this.options.paidAt ? 'NEW.paid_at' : 'NULL'});
        RETURN NEW;
      END $$;
      CREATE TRIGGER audit AFTER UPDATE OF status ON orders FOR EACH ROW EXECUTE FUNCTION audit();`
  }

  get #statusSql(): string | null {
    return this.options.statusType === 'enum' ? 'order_status' : this.options.statusType
  }

  /** How a status is written in the table. */
  written(status: string): string {
    const { statusType } = this.options
    const words = WRITTEN[(statusType ?? 'none') as keyof typeof WRITTEN]
    return words?.[status as Status] ?? status
  }

  get settings(): PostgresSettings {
    const { statusType, deadlineType, deadlineUnit, deadlineAfterMs, timeZone, paidAt } = this.options
    return postgresSettings({
      DATABASE_URL: this.#url,
      ORDERS_TABLE: `${this.schema}.orders`,
      ORDERS_STATUS_COLUMN: statusType === null ? undefined : 'status',
      ORDERS_DEADLINE_COLUMN: deadlineType ? 'payment_deadline' : undefined,
      ORDERS_DEADLINE_UNIT: deadlineType === 'bigint' ? deadlineUnit : undefined,
      ORDERS_DEADLINE_AFTER: deadlineAfterMs || undefined,
      ORDERS_TIME_ZONE: deadlineType === 'timestamp' ? timeZone : undefined,
      ORDERS_PAID_AT_COLUMN: paidAt ? 'paid_at' : undefined,
      ORDERS_CANCELLED_AT_COLUMN: 'cancelled_at',
      ORDERS_UNPAID_STATUSES: statusType === null ? [] : [this.written('pending')],
      ORDERS_CANCELLED_STATUS: this.written('cancelled') || undefined,
      ...(statusType === null && { ORDERS_CONDITION: 'NOT is_closed', ORDERS_SET: 'is_closed = true' }),
    })
  }

  /** The settings by which the daemon finds this table. */
  get env(): Record<string, string> {
    return {
      ORDER_STORE: 'postgres',
      DATABASE_URL: this.#url,
      ORDERS_TABLE: `${this.schema}.orders`,
      ORDERS_DEADLINE_COLUMN: this.options.deadlineType ? 'payment_deadline' : '',
      ...(this.options.deadlineType === 'timestamp' && { ORDERS_TIME_ZONE: this.options.timeZone }),
      ORDERS_PAID_AT_COLUMN: this.options.paidAt ? 'paid_at' : '',
      ORDERS_CANCELLED_AT_COLUMN: 'cancelled_at',
    }
  }

  async insert(orders: readonly { id: string; status?: string; deadline?: number; paidAt?: number }[]): Promise<void> {
    const { idType, deadlineType, deadlineUnit, deadlineAfterMs, timeZone, paidAt, shape } = this.options
    const time = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
    const local = (column: string) => (deadlineType === 'timestamp' ? `${column} AT TIME ZONE '${timeZone}'` : column)
    const isNumber = deadlineType === 'bigint'
    const units = `floor(extract(epoch FROM deadline) * ${deadlineUnit === 's' ? 1 : 1_000})::bigint`
    const values: Record<string, string> = {
      ...(shape === 'view' ? { no: `split_part(id, '-', 2)::${idType}` } : { id: `id::${idType}` }),
      ...(this.#statusSql && { status: `status::${this.#statusSql}` }),
      ...(deadlineType && { payment_deadline: isNumber ? units : local('deadline') }),
      ...(paidAt && { paid_at: local('paid_at') }),
    }
    await this.pool.query(
      `INSERT INTO ${shape === 'view' ? 'orders_of_shops' : 'orders'} (${Object.keys(values)}) SELECT ${Object.values(values)}
       FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS o (id, status, deadline, paid_at)`,
      [
        orders.map(({ id }) => id),
        orders.map(({ status = 'pending' }) => this.written(status)),
        orders.map(({ deadline }) => time(deadline === undefined ? undefined : deadline - deadlineAfterMs)),
        orders.map(({ paidAt: at }) => time(at)),
      ],
    )
  }

  /** A buyer pays: only what is unpaid. */
  async pay(id: string): Promise<void> {
    const { deadlineType, timeZone, paidAt } = this.options
    const now = deadlineType === 'timestamp' ? `now() AT TIME ZONE '${timeZone}'` : 'now()'
    const set = [this.#statusSql && `status = '${this.written('paid')}'`, paidAt && `paid_at = ${now}`].filter(Boolean)
    const isUnpaid = [
      this.#statusSql ? `status = '${this.written('pending')}'` : 'NOT is_closed',
      paidAt && 'paid_at IS NULL',
    ].filter(Boolean)
    await this.pool.query(`UPDATE orders SET ${set} WHERE id::text = $1 AND ${isUnpaid.join(' AND ')}`, [id])
  }

  async outbox(): Promise<
    { order_id: string; type: string; event_id: string; data: { at: string; deadline: string } }[]
  > {
    return (await this.pool.query('SELECT * FROM order_expiry_outbox ORDER BY id')).rows
  }

  async statusOf(id: string): Promise<string | undefined> {
    return (await this.pool.query('SELECT status::text FROM orders WHERE id::text = $1', [id])).rows[0]?.status
  }

  storeOptions({ settings, ...overrides }: StoreOverrides = {}): PostgresStoreOptions {
    const events = new EventBus()
    return {
      settings: { ...this.settings, ...settings },
      connections: 3,
      onError: (error) => events.emit('store-error', { error }),
      ...overrides,
    }
  }

  /** @param firstSeen when the daemon is to have seen the table first: long ago, so that nothing is its backlog */
  async migrate(firstSeen = '2002-01-01'): Promise<void> {
    await migratePostgres(this.storeOptions(), { dryRun: false })
    await this.pool.query('UPDATE order_expiry_tables SET first_seen_at = $1', [firstSeen])
  }

  async drop(): Promise<void> {
    await this.pool.query(`DROP SCHEMA ${this.schema} CASCADE`)
    await this.pool.end()
  }
}

/** Two at once would both find it missing. */
async function createExtension(pool: pg.Pool, name: string): Promise<void> {
  await pool.query(
    `BEGIN; SELECT pg_advisory_xact_lock(hashtext('${name}')); CREATE EXTENSION IF NOT EXISTS ${name} SCHEMA public; COMMIT`,
  )
}
