import pg from 'pg'
import { EventBus } from '../../src/observe/events.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import type { PostgresSettings, PostgresStoreOptions } from '../../src/stores/postgres/settings.ts'
import { databaseUrl, uniqueName } from './env.ts'
import { postgresSettings } from './postgres-settings.ts'

export interface TableOptions {
  idType?: string
  statusType?: 'text' | 'varchar(20)' | 'enum'
  /** null: no such column */
  deadlineType?: 'timestamptz' | 'timestamp' | null
  paidAt?: boolean
}

/** What a test wants otherwise than {@link OrdersTable.storeOptions} has it. */
export interface StoreOverrides extends Partial<Omit<PostgresStoreOptions, 'settings'>> {
  settings?: Partial<PostgresSettings>
}

/** A shop's orders table in a schema of its own, with a trigger that records every change of status. */
export class OrdersTable {
  readonly pool: pg.Pool
  readonly schema: string
  readonly options: Required<TableOptions>

  private constructor(schema: string, options: Required<TableOptions>) {
    this.schema = schema
    this.options = options
    this.pool = new pg.Pool({ connectionString: databaseUrl(), max: 50, options: `-c search_path=${schema}` })
  }

  static async create(options: TableOptions = {}): Promise<OrdersTable> {
    const { idType = 'bigint', statusType = 'text', deadlineType = 'timestamptz', paidAt = true } = options
    const table = new OrdersTable(uniqueName('shop'), { idType, statusType, deadlineType, paidAt })
    const { pool, schema } = table
    await pool.query(`CREATE SCHEMA ${schema}`)
    if (statusType === 'enum')
      await pool.query(`CREATE TYPE order_status AS ENUM ('pending', 'paid', 'cancelled', 'shipped')`)
    await pool.query(`
      CREATE TABLE orders (
        id ${idType} PRIMARY KEY,
        status ${statusType === 'enum' ? 'order_status' : statusType} NOT NULL
        ${deadlineType ? `, payment_deadline ${deadlineType}` : ''}
        ${paidAt ? ', paid_at timestamptz' : ''}
        , cancelled_at timestamptz, note text
      );
      CREATE TABLE audit (order_id text, before text, after text, paid_at timestamptz, at timestamptz DEFAULT clock_timestamp());
      CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO ${schema}.audit (order_id, before, after, paid_at)
        VALUES (NEW.id::text, OLD.status::text, NEW.status::text, ${paidAt ? 'NEW.paid_at' : 'NULL'});
        RETURN NEW;
      END $$;
      CREATE TRIGGER audit AFTER UPDATE OF status ON orders FOR EACH ROW EXECUTE FUNCTION audit();`)
    return table
  }

  get settings(): PostgresSettings {
    const { deadlineType, paidAt } = this.options
    return postgresSettings({
      DATABASE_URL: databaseUrl(),
      ORDERS_TABLE: `${this.schema}.orders`,
      ORDERS_ID_COLUMN: 'id',
      ORDERS_STATUS_COLUMN: 'status',
      ORDERS_DEADLINE_COLUMN: deadlineType ? 'payment_deadline' : undefined,
      ORDERS_TIME_ZONE: deadlineType === 'timestamp' ? 'UTC' : undefined,
      ORDERS_PAID_AT_COLUMN: paidAt ? 'paid_at' : undefined,
      ORDERS_CANCELLED_AT_COLUMN: 'cancelled_at',
      ORDERS_UNPAID_STATUSES: ['pending'],
      ORDERS_CANCELLED_STATUS: 'cancelled',
    })
  }

  /** The settings by which the daemon finds this table. */
  get env(): Record<string, string> {
    return {
      ORDER_STORE: 'postgres',
      DATABASE_URL: databaseUrl(),
      ORDERS_TABLE: `${this.schema}.orders`,
      ORDERS_DEADLINE_COLUMN: this.options.deadlineType ? 'payment_deadline' : '',
      ...(this.options.deadlineType === 'timestamp' && { ORDERS_TIME_ZONE: 'UTC' }),
      ORDERS_PAID_AT_COLUMN: this.options.paidAt ? 'paid_at' : '',
      ORDERS_CANCELLED_AT_COLUMN: 'cancelled_at',
    }
  }

  async insert(orders: readonly { id: string; status?: string; deadline?: number; paidAt?: number }[]): Promise<void> {
    const { idType, statusType, deadlineType, paidAt } = this.options
    const time = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
    await this.pool.query(
      `INSERT INTO orders (id, status ${deadlineType ? ', payment_deadline' : ''} ${paidAt ? ', paid_at' : ''})
       SELECT id::${idType}, status::${statusType === 'enum' ? 'order_status' : 'text'}
         ${deadlineType === 'timestamptz' ? ', deadline' : deadlineType ? `, deadline AT TIME ZONE 'UTC'` : ''} ${paidAt ? ', paid_at' : ''}
       FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS o (id, status, deadline, paid_at)`,
      [
        orders.map(({ id }) => id),
        orders.map(({ status = 'pending' }) => status),
        orders.map(({ deadline }) => time(deadline)),
        orders.map(({ paidAt: at }) => time(at)),
      ],
    )
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
