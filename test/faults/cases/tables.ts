import { eventually } from '../../helpers/eventually.ts'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import type { Peculiarity } from '../harness/postgres-shop.ts'
import { perform, planWorkload, SOON } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

/** Given up after a second. */
const SOON_GIVEN_UP = { MAX_ATTEMPTS: '2' }

/** Orders that something else in the database does not let be cancelled: every fifth. */
const isRejected = (orderId: string) => Number(orderId) % 5 === 0

function undoing(options: { name: string; injected: string; peculiarity: Peculiarity }): FaultCase {
  return {
    ...options,
    promise:
      'those orders stay as they are and are never told of as cancelled; each is in the failed set; the others within 30 s',
    boundMs: KNOWN_MS,
    seconds: 25,
    rejects: isRejected,
    world: { env: SOON_GIVEN_UP, peculiarity: options.peculiarity },
    run: load,
  }
}

async function load(world: World): Promise<number> {
  const startedAt = Date.now()
  await perform(world, planWorkload(world.random, SOON))
  return startedAt
}

const trigger = (when: string, body: string) => (schema: string) =>
  `
  CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql SET search_path = ${schema} AS $$ BEGIN
    IF NEW.id % 5 = 0 AND NEW.status = 'cancelled' THEN ${body} END IF; RETURN NEW; END $$;
  CREATE TRIGGER undo ${when} UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION undo();`

const NEW_YORK = 'America/New_York'

/** What the shop's tables are like, and what acts on them. */
export const tableCases: FaultCase[] = [
  undoing({
    name: 'a trigger gives the status back',
    injected:
      'BEFORE UPDATE: of each tenth order the old status is kept, of each other fifth the whole row (RETURN NULL)',
    peculiarity: {
      sql: trigger('BEFORE', 'IF NEW.id % 10 = 0 THEN NEW.status := OLD.status; ELSE RETURN NULL; END IF;'),
    },
  }),
  undoing({
    name: 'a trigger puts the status back afterwards',
    injected: 'AFTER UPDATE: of each fifth order the status is made pending again',
    peculiarity: { sql: trigger('AFTER', `UPDATE orders SET status = 'pending' WHERE id = NEW.id;`) },
  }),
  undoing({
    name: 'a trigger of a view changes nothing',
    injected: 'ORDERS_TABLE is a view whose INSTEAD OF trigger leaves each fifth order alone',
    peculiarity: {
      table: 'open_orders',
      sql: (schema) => `
        CREATE VIEW open_orders AS SELECT id, status, payment_deadline, paid_at, cancelled_at FROM orders;
        CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql SET search_path = ${schema} AS $$ BEGIN
          IF NEW.id % 5 <> 0 THEN
            UPDATE orders SET status = NEW.status, cancelled_at = NEW.cancelled_at WHERE id = NEW.id;
          END IF;
          RETURN NEW; END $$;
        CREATE TRIGGER undo INSTEAD OF UPDATE ON open_orders FOR EACH ROW EXECUTE FUNCTION undo();`,
    },
  }),
  {
    name: 'times without a zone, written in New York',
    injected: `the TimeZone of the database is ${NEW_YORK}, the columns are timestamp, ORDERS_TIME_ZONE=${NEW_YORK}`,
    promise: 'none before its deadline; all within 30 s',
    boundMs: KNOWN_MS,
    seconds: 20,
    world: { ownPostgres: true, peculiarity: { timeZone: NEW_YORK } },
    run: load,
  },
  {
    name: 'payments that only a condition tells of',
    injected:
      'paid orders count as unpaid by their status; ORDERS_CONDITION=NOT is_paid, ORDERS_SET=version = version + 1',
    promise: 'no paid order is cancelled; all others within 30 s, and their versions are raised once',
    boundMs: KNOWN_MS,
    seconds: 20,
    world: {
      peculiarity: {
        sql: () => `ALTER TABLE orders ADD COLUMN is_paid boolean GENERATED ALWAYS AS (paid_at IS NOT NULL) STORED,
          ADD COLUMN version int NOT NULL DEFAULT 0`,
      },
      env: {
        ORDERS_UNPAID_STATUSES: 'pending,paid',
        ORDERS_PAID_AT_COLUMN: '',
        ORDERS_CONDITION: 'NOT is_paid',
        ORDERS_SET: 'version = version + 1',
      },
    },
    async run(world) {
      const { postgresShop: shop } = world
      const startedAt = await load(world)
      await eventually('all are settled', async () => (await shop.countWaiting()) === 0, KNOWN_MS + 5_000)
      const sql = `SELECT FROM orders WHERE version <> CASE status WHEN 'cancelled' THEN 1 ELSE 0 END`
      const { rows } = await shop.pool.query(sql)
      world.expect(rows.length === 0, `I3: the versions of ${rows.length} orders were not raised once`)
      return startedAt
    },
  },
  {
    name: 'two tables with the same ids in one schema',
    injected: 'bookings beside orders, with a worker of their own, and the same outbox; half of the bookings are paid',
    promise: 'each table has one event for each row that was cancelled there, and none of the other',
    boundMs: KNOWN_MS,
    seconds: 25,
    world: {
      peculiarity: {
        sql: () => `CREATE TABLE bookings (LIKE orders INCLUDING ALL);
          CREATE TRIGGER witness AFTER INSERT OR UPDATE OF status, payment_deadline ON bookings
            FOR EACH ROW EXECUTE FUNCTION witness_order();`,
      },
    },
    async run(world) {
      const { postgresShop: shop } = world
      const ofBookings = { ORDERS_TABLE: `${shop.schema}.bookings` }
      await shop.migrate(ofBookings)
      await world.startWorkers(1, { ...ofBookings, QUEUE_NAME: 'bookings', SWEEP_EVERY: '1s' })
      const startedAt = Date.now()
      const work = perform(world, planWorkload(world.random, SOON))
      await shop.pool.query(`
        INSERT INTO bookings (id, payment_deadline) SELECT n, clock_timestamp() + interval '2 s' FROM generate_series(1, 100) n`)
      await shop.pool.query(`UPDATE bookings SET status = 'paid', paid_at = clock_timestamp() WHERE id % 2 = 0`)
      await work
      await eventually('all bookings are settled', async () => {
        const { rows } = await shop.pool.query(`SELECT FROM bookings WHERE status = 'pending'`)
        return rows.length === 0
      })
      return startedAt
    },
  },
]
