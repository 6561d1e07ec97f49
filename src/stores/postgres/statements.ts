import { type OrdersColumns, quoteIdentifier } from './columns.ts'

/** The table of events that wait to be sent, beside the orders table. */
export const OUTBOX_TABLE = 'order_expiry_outbox'
export const OUTBOX_COLUMNS = ['id', 'event_id', 'type', 'order_id', 'data', 'created_at'] as const

const MANY_EVENTS = 10_000
/** Events that are looked through for those of one order: a few milliseconds. */
export const LOOKED_THROUGH = 10_000

/** When to look again at an order whose row somebody else has locked: most often a payment that is about to commit. */
export const LOCKED_RETRY_MS = 300

/**
 * In the transaction of `unpaidDueBefore`: whatever index has its order is read from where the page begins, and no further,
 * also where the planner takes the unpaid orders for few, and would rather find them all and sort them. For that the values
 * must be known when it is planned. Where there is no such index, sorting is not forbidden, but looks so costly that code
 * would be compiled for it.
 */
export const SWEEP_SETTINGS =
  'SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off'

/** The statements of one orders table. Column names come from the catalogue, quoted; values are parameters. */
export interface Statements {
  cancelUnpaid: string
  judge: string
  newestPayment: string
  find: string
  unpaidDueBefore: string
  insertOutbox: string
  outbox: string
  eventsOf: string
}

export function buildStatements(columns: OrdersColumns): Statements {
  const { table, id, idType, status, statusType, deadline, paidAt, cancelledAt } = columns
  const outbox = outboxTable(columns)
  const deadlineOf = (alias: string) =>
    deadline ? timestamptz(`${alias}.${deadline.sql}`, deadline.type) : 'NULL::timestamptz'
  // Not by way of text[]: a cast to an enum is not done before planning, and no partial index would be found to fit.
  const isUnpaid = (statuses: string) =>
    `o.${status} = ANY (${statuses}::${statusType}[])${paidAt ? ` AND o.${paidAt.sql} IS NULL` : ''}`
  const events = (source: string) => `
  INSERT INTO ${outbox} (type, order_id, data)
  SELECT 'order.cancelled', ${source}`
  const seen = `seen AS (
  SELECT i.ord, i.ms, o.id, o.status, o.unpaid, o.paid, coalesce(o.deadline, ${atMs('i.ms')}) AS deadline
  FROM unnest($1::${idType}[], $2::float8[]) WITH ORDINALITY AS i (id, ms, ord)
  LEFT JOIN LATERAL (
    SELECT o.${id} AS id, o.${status}::text AS status, ${isUnpaid('$3')} AS unpaid,
           ${paidAt ? `o.${paidAt.sql} IS NOT NULL` : 'false'} AS paid, ${deadlineOf('o')} AS deadline
    FROM ${table} o WHERE o.${id} = i.id LIMIT 1
  ) o ON true
)`
  const answer = (cancelled: string) => `
SELECT CASE WHEN s.id IS NULL THEN 'missing' ${cancelled} WHEN s.unpaid THEN 'unpaid' WHEN s.paid THEN 'paid' ELSE 'kept' END,
       s.status, ${ms('s.deadline')}, CASE s.ord WHEN 1 THEN ${ms('now()')} END`

  return {
    /*
     * Cancels what is unpaid and due.
     *
     * $1 ids, $2 deadlines in milliseconds that count where the row has none, $3 text[] unpaid statuses, $4 cancelled
     * status. One row for each id, in their order, as `toOutcomes` takes them: what became of it, the status seen, its deadline
     * and, in the first row, now, in milliseconds.
     *
     * `seen` reads the statement's snapshot; it may be behind. `due` takes the locks, in the order of the ids, and
     * PostgreSQL checks its conditions again on the newest version of each row it locks, so a payment that has been
     * committed meanwhile counts. What `seen` finds due and `due` does not, somebody else has locked or just changed. Only
     * rows that are to be cancelled are locked or written.
     *
     * Each look-up goes by the id, with a plan for these values or for any, and whatever the statistics say: the lateral
     * subqueries and the array leave no other way to join, and with IS TRUE no index on the status, the payment or the
     * deadline fits. Left free, the planner may start from "all unpaid orders", which it takes for few where statistics are
     * old or missing.
     */
    cancelUnpaid: `
WITH ${seen}, due AS MATERIALIZED (
  SELECT o.id, o.deadline, s.ord
  FROM (SELECT id, min(ms) AS ms, min(ord) AS ord FROM seen WHERE unpaid AND deadline <= now() GROUP BY id ORDER BY id) s
  CROSS JOIN LATERAL (
    SELECT o.${id} AS id, coalesce(${deadlineOf('o')}, ${atMs('s.ms')}) AS deadline
    FROM ${table} o
    WHERE o.${id} = s.id AND (${isUnpaid('$3')} AND coalesce(${deadlineOf('o')}, ${atMs('s.ms')}) <= now()) IS TRUE
    FOR UPDATE SKIP LOCKED
  ) o
), updated AS (
  UPDATE ${table} o
  SET ${status} = $4::text::${statusType}${cancelledAt ? `, ${cancelledAt.sql} = ${now(cancelledAt.type)}` : ''}
  WHERE o.${id} = ANY (ARRAY(SELECT id FROM due)) AND (${isUnpaid('$3')}${deadline ? ` AND coalesce(${deadlineOf('o')} <= now(), true)` : ''}) IS TRUE
  RETURNING o.${id} AS id
), cancelled AS (
  SELECT id, ord, deadline FROM updated JOIN due USING (id)
), event AS (${events(`id::text, jsonb_build_object('at', now(), 'deadline', deadline) FROM cancelled`)}
)${answer(`WHEN c.ord = s.ord THEN 'cancelled' WHEN c.id IS NOT NULL THEN 'again'`)}
FROM seen s LEFT JOIN cancelled c ON c.id = s.id
ORDER BY s.ord`,

    /* What `cancelUnpaid` would do, without doing it: its $1, $2 and $3, and its rows. */
    judge: `
WITH ${seen}${answer(`WHEN s.unpaid AND s.deadline <= now() THEN 'cancelled'`)}
FROM seen s
ORDER BY s.ord`,

    /* Goes by an index on the column, from its end; BRAKE_PAYMENT_SILENCE needs one. */
    newestPayment:
      paidAt && paidAt.type !== 'date'
        ? `SELECT ${ms(timestamptz(`max(o.${paidAt.sql})`, paidAt.type))} AS paid_at FROM ${table} o WHERE o.${paidAt.sql} <= ${now(paidAt.type)}`
        : '',

    /* $1 ids, $2 text[] unpaid statuses. Rows in any order; times are milliseconds. */
    find: `
SELECT o.${id}::text AS id, o.${status}::text AS status, (${isUnpaid('$2')}) IS TRUE AS unpaid, ${ms(deadlineOf('o'))} AS deadline,
       ${cancelledAt ? ms(timestamptz(`o.${cancelledAt.sql}`, cancelledAt.type)) : 'NULL'} AS cancelled_at,
       ${paidAt && paidAt.type !== 'date' ? ms(timestamptz(`o.${paidAt.sql}`, paidAt.type)) : 'NULL'} AS paid_at
FROM ${table} o WHERE o.${id} = ANY ($1::${idType}[])`,

    /*
     * $1 text[] unpaid statuses, $2 instant and $3 the last deadline of the page before in milliseconds, $4 its id, $5 limit.
     * To be run with SWEEP_SETTINGS.
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

    /* How many events wait, counted no further than tells that they are many, and for how long the first one has. */
    outbox: `
SELECT (SELECT count(*)::int FROM (SELECT FROM ${outbox} LIMIT ${MANY_EVENTS}) o) AS events,
       (SELECT ${ms('now()')} - ${ms('o.created_at')} FROM ${outbox} o ORDER BY o.id LIMIT 1) AS age`,

    /* $1 order id. Among the newest events, since there is no index for it; `looked` says how many these were. */
    eventsOf: `
SELECT count(*)::int AS looked,
       coalesce(jsonb_agg(jsonb_build_object('id', o.event_id, 'type', o.type, 'at', ${ms('o.created_at')}) ORDER BY o.id)
         FILTER (WHERE o.order_id = $1), '[]') AS events
FROM (SELECT id, event_id, type, order_id, created_at FROM ${outbox} ORDER BY id DESC LIMIT ${LOOKED_THROUGH}) o`,
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

/** The outbox as SQL, quoted, with its schema. */
export function outboxTable(columns: OrdersColumns): string {
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
  const at = atMs(`${parameter}::float8`)
  return type === 'timestamp' ? `(${at} AT TIME ZONE 'UTC')` : at
}

function atMs(sql: string): string {
  return `to_timestamp(${sql} / 1000)`
}

function ms(sql: string): string {
  return `(extract(epoch FROM ${sql}) * 1000)::float8`
}
