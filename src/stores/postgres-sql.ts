import { type OrdersColumns, quoteIdentifier } from './postgres-columns.ts'

/** The table of events that wait to be sent, beside the orders table. */
export const OUTBOX_TABLE = 'order_expiry_outbox'
export const OUTBOX_COLUMNS = ['id', 'event_id', 'type', 'order_id', 'data', 'created_at'] as const

/** When to look again at an order whose row somebody else has locked: most often a payment that is about to commit. */
export const LOCKED_RETRY_MS = 300

/** The statements of one orders table. Column names come from the catalogue, quoted; all values are parameters. */
export interface Statements {
  cancelUnpaid: string
  judge: string
  newestPayment: string
  find: string
  unpaidDueBefore: string
  insertOutbox: string
  outbox: string
}

export function buildStatements(columns: OrdersColumns): Statements {
  const { table, id, idType, status, statusType, deadline, paidAt, cancelledAt } = columns
  const outbox = outboxTable(columns)
  const deadlineOf = (alias: string) =>
    deadline ? timestamptz(`${alias}.${deadline.sql}`, deadline.type) : 'NULL::timestamptz'
  // Not by way of text[]: a cast to an enum is not done before planning, and no partial index would be found to fit.
  const isUnpaid = (statuses: string) =>
    `(o.${status} = ANY (${statuses}::${statusType}[])${paidAt ? ` AND o.${paidAt.sql} IS NULL` : ''})`
  const events = (source: string) => `
  INSERT INTO ${outbox} (type, order_id, data)
  SELECT 'order.cancelled', ${source}`
  const seen = `input AS MATERIALIZED (
  SELECT ord, id::${idType} AS id, deadline
  FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS i (id, deadline, ord)
), seen AS MATERIALIZED (
  SELECT i.ord, i.deadline AS wanted, o.id, o.status, o.unpaid, o.paid, coalesce(o.deadline, i.deadline) AS deadline
  FROM input i LEFT JOIN LATERAL (
    SELECT o.${id} AS id, o.${status}::text AS status, ${isUnpaid('$3')} AS unpaid,
           ${paidAt ? `o.${paidAt.sql} IS NOT NULL` : 'false'} AS paid, ${deadlineOf('o')} AS deadline
    FROM ${table} o WHERE o.${id} = i.id LIMIT 1
  ) o ON true
)`

  return {
    outbox,
    /*
     * Cancels what is unpaid and due.
     *
     * $1 text[] ids, $2 timestamptz[] deadlines that count where the row has none, $3 text[] unpaid statuses,
     * $4 cancelled status. One row for each id, in their order: id is null if there is no such order, now and deadline
     * are milliseconds.
     *
     * `seen` reads the statement's snapshot; it may be behind. `due` takes the locks, in the order of the ids, and
     * PostgreSQL checks its conditions again on the newest version of each row it locks, so a payment that has been
     * committed meanwhile counts. What `seen` finds due and `due` does not, somebody else has locked or just changed.
     *
     * The lateral subqueries and the array make each look-up go by the id. Left free, the planner may start from "all
     * unpaid orders", which it takes for few where statistics are old or missing, and compare each of them with each id.
     */
    cancelUnpaid: `
WITH ${seen}, due AS MATERIALIZED (
  SELECT o.id, o.deadline
  FROM (SELECT id, min(wanted) AS wanted FROM seen WHERE unpaid AND deadline <= now() GROUP BY id ORDER BY id) s
  CROSS JOIN LATERAL (
    SELECT o.${id} AS id, coalesce(${deadlineOf('o')}, s.wanted) AS deadline
    FROM ${table} o
    WHERE o.${id} = s.id AND ${isUnpaid('$3')} AND coalesce(${deadlineOf('o')}, s.wanted) <= now()
    FOR UPDATE SKIP LOCKED
  ) o
), cancelled AS (
  UPDATE ${table} o
  SET ${status} = $4::text::${statusType}${cancelledAt ? `, ${cancelledAt.sql} = ${now(cancelledAt.type)}` : ''}
  WHERE o.${id} = ANY (ARRAY(SELECT id FROM due)) AND ${isUnpaid('$3')}${deadline ? ` AND coalesce(${deadlineOf('o')} <= now(), true)` : ''}
  RETURNING o.${id} AS id
), event AS (${events(`id::text, jsonb_build_object('at', now(), 'deadline', d.deadline) FROM cancelled JOIN due d USING (id)`)}
)
SELECT s.id::text, s.status, s.paid, s.unpaid, ${ms('s.deadline')} AS deadline, c.id IS NOT NULL AS cancelled,
       ${ms('now()')} AS now
FROM seen s LEFT JOIN cancelled c ON c.id = s.id
ORDER BY s.ord`,

    /* What `cancelUnpaid` would do, without doing it: its $1, $2 and $3, and its columns. */
    judge: `
WITH ${seen}
SELECT s.id::text, s.status, s.paid, s.unpaid, ${ms('s.deadline')} AS deadline,
       coalesce(s.unpaid AND s.deadline <= now(), false) AS cancelled, ${ms('now()')} AS now
FROM seen s
ORDER BY s.ord`,

    /* Goes by an index on the column, from its end; BRAKE_PAYMENT_SILENCE needs one. */
    newestPayment:
      paidAt && paidAt.type !== 'date'
        ? `SELECT ${ms(timestamptz(`max(o.${paidAt.sql})`, paidAt.type))} AS paid_at FROM ${table} o WHERE o.${paidAt.sql} <= ${now(paidAt.type)}`
        : '',

    /* $1 text[] ids. Rows in any order; times are milliseconds. */
    find: `
SELECT o.${id}::text AS id, o.${status}::text AS status, ${ms(deadlineOf('o'))} AS deadline,
       ${cancelledAt ? ms(timestamptz(`o.${cancelledAt.sql}`, cancelledAt.type)) : 'NULL'} AS cancelled_at
FROM ${table} o WHERE o.${id} = ANY ($1::text[]::${idType}[])`,

    /*
     * $1 text[] unpaid statuses, $2 instant and $3 the last deadline of the page before in milliseconds, $4 its id, $5 limit.
     *
     * Milliseconds tell apart all times of some centuries. Of others they are too coarse to go on at: the deadline is
     * taken from the last row itself, while it is still the same.
     */
    unpaidDueBefore: deadline
      ? `
SELECT o.${id}::text AS id, ${ms(deadlineOf('o'))} AS deadline
FROM ${table} o
WHERE ${isUnpaid('$1')} AND o.${deadline.sql} <= ${instant('$2', deadline.type)}
  AND ($3::float8 IS NULL OR (o.${deadline.sql}, o.${id}) > (
    coalesce(
      (SELECT l.${deadline.sql} FROM ${table} l
       WHERE l.${id} = $4::text::${idType} AND ${ms(deadlineOf('l'))} = $3::float8 LIMIT 1),
      ${instant('$3', deadline.type)}
    ), $4::text::${idType}))
ORDER BY o.${deadline.sql}, o.${id}
LIMIT $5`
      : '',

    /* $1 text[] ids, $2 timestamptz[] deadlines: of the orders that the shop's own statement has cancelled. */
    insertOutbox: events(
      `id, jsonb_build_object('at', now(), 'deadline', deadline) FROM unnest($1::text[], $2::timestamptz[]) AS c (id, deadline)`,
    ),
  }
}

/** What `migrate` runs. Each statement may be run again. */
export function buildMigrations(columns: OrdersColumns): string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${outboxTable(columns)} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id uuid NOT NULL DEFAULT gen_random_uuid(),
  type text NOT NULL,
  order_id text NOT NULL,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
)`,
  ]
}

function outboxTable(columns: OrdersColumns): string {
  return `${quoteIdentifier(columns.schema)}.${quoteIdentifier(OUTBOX_TABLE)}`
}

/** A `timestamp` has no time zone: it is read as UTC, whatever the session says. */
function timestamptz(sql: string, type: 'timestamptz' | 'timestamp'): string {
  return type === 'timestamp' ? `(${sql} AT TIME ZONE 'UTC')` : sql
}

function now(type: 'timestamptz' | 'timestamp'): string {
  return type === 'timestamp' ? `now() AT TIME ZONE 'UTC'` : 'now()'
}

function instant(parameter: string, type: 'timestamptz' | 'timestamp'): string {
  const at = `to_timestamp(${parameter}::float8 / 1000)`
  return type === 'timestamp' ? `(${at} AT TIME ZONE 'UTC')` : at
}

function ms(sql: string): string {
  return `(extract(epoch FROM ${sql}) * 1000)::float8`
}
