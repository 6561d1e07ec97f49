import type { OrdersColumns } from './columns.ts'
import { instantOf, valueAt } from './instants.ts'
import { quoteLiteral } from './quoting.ts'
import { deadlineOf, isPaidLate } from './sql.ts'

/** Index entries that one statement reads. */
export const LATE_PAGE = 1_000

/** For the transaction in which late payments are looked for: as for sweeps, and a date is written in one way only. */
export const LATE_SETTINGS =
  "SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL datestyle = 'ISO'"

/** A page of the orders that are paid although cancelled, the latest payment first. @param more conditions, and what is selected */
export function lateOrders(columns: OrdersColumns, { select = '', where = '' } = {}): string {
  const { table, id, paidAt } = columns
  return `
  SELECT o.${id} AS id, o.${paidAt?.sql} AS written${select}
  FROM ${table} o WHERE ${isPaidLate(columns)}${where}
  ORDER BY o.${paidAt?.sql} DESC, o.${id} DESC LIMIT ${LATE_PAGE}`
}

/** @param options.reopenMs how long after its cancellation an order may be reopened. Default: it may not */
export function lateStatements(columns: OrdersColumns, { reopenMs }: { reopenMs?: number | undefined }) {
  const { table, id, idCast, paidAt, latePayments } = columns
  const name = quoteLiteral(columns.name)
  const select = factsOf(columns)
  return {
    newest: tellPage(columns, { reopenMs, after: '' }),
    /* $1 the time of payment and $2 the id of the last one of the page before. */
    next: tellPage(columns, {
      reopenMs,
      after: ` AND (o.${paidAt?.sql}, o.${id}) < ($1::text::${paidAt?.type}, $2::text::${idCast})`,
    }),

    /* $1 id. Locks the row if nobody else has, and notes its payment as told of; no row: it is not late any more, or told of. */
    claim: `
WITH late AS MATERIALIZED (
  SELECT o.${id} AS id${select} FROM ${table} o WHERE o.${id} = $1::text::${idCast} AND ${isPaidLate(columns)}
  FOR UPDATE SKIP LOCKED
)
INSERT INTO ${latePayments} (orders_table, order_id, paid_at) SELECT ${name}, id::text, paid_at FROM late
ON CONFLICT DO NOTHING RETURNING order_id`,

    /* $1 id. Whether it is still cancelled. */
    isStillLate: `SELECT EXISTS (SELECT FROM ${table} o WHERE o.${id} = $1::text::${idCast} AND ${isPaidLate(columns)}) AS "isStill"`,

    /* $1 id. Its facts, to be read while it is cancelled: once it is reopened, the row may no longer tell. */
    facts: `
SELECT l.paid_at::text AS "paidAt", l.cancelled_at::text AS "cancelledAt", l.deadline::text AS deadline
FROM (SELECT o.${id} AS id${select} FROM ${table} o WHERE o.${id} = $1::text::${idCast}) l`,

    /* $1 id, $2 paid at, $3 cancelled at, $4 deadline, as texts; $5 whether it was reopened. */
    event: insertEvent(
      columns,
      '(SELECT $1::text AS id, $2::text::timestamptz AS paid_at, $3::text::timestamptz AS cancelled_at, $4::text::timestamptz AS deadline) l',
      '$5::boolean',
    ),
  }
}

/**
 * Tells of a page: of each payment once, since its order and its time are the key of what was told. Whoever comes second waits for the
 * transaction of the first, and adds nothing.
 *
 * Where the table does not say when an order was cancelled, only payments since the beginning count, and the index begins there;
 * else also those of orders that were cancelled since, whenever they were paid.
 *
 * One subquery for each row looks up what was told: joined, all of it would be read. Orders to be reopened come in no order, so that
 * those that wait for a lock do not keep the time of a sweep from the same others each time.
 */
function tellPage(
  columns: OrdersColumns,
  { reopenMs, after }: { reopenMs: number | undefined; after: string },
): string {
  const { latePayments, registry } = columns
  const name = quoteLiteral(columns.name)
  const since = `(SELECT r.late_since FROM ${registry} r WHERE r.orders_table = ${name})`
  const mayReopen = `paid_at > cancelled_at AND cancelled_at > now() - interval '${reopenMs} milliseconds'`
  const reopenable = reopenMs === undefined ? 'false' : `coalesce(${mayReopen}, false)`
  return `
WITH page AS MATERIALIZED (${lateOrders(columns, { select: factsOf(columns), where: `${sinceOf(columns, since)}${after}` })}
), late AS MATERIALIZED (
  SELECT p.*, ${reopenable} AS reopenable FROM page p
  WHERE greatest(${columns.paidAt?.type === 'date' ? '(p.written + 1)::timestamptz' : 'p.paid_at'}, p.cancelled_at) >= ${since}
    AND (SELECT true FROM ${latePayments} t WHERE t.orders_table = ${name} AND t.order_id = p.id::text AND t.paid_at = p.paid_at) IS NULL
), noted AS (
  INSERT INTO ${latePayments} (orders_table, order_id, paid_at)
  SELECT ${name}, id::text, paid_at FROM late WHERE NOT reopenable ORDER BY id::text
  ON CONFLICT DO NOTHING RETURNING order_id, paid_at
), event AS (${insertEvent(columns, 'noted n JOIN late l ON l.id::text = n.order_id AND l.paid_at = n.paid_at', 'false')}
)
SELECT (SELECT count(*)::int FROM page) AS seen,
       (SELECT jsonb_build_array(written::text, id::text) FROM page ORDER BY page.written, page.id LIMIT 1) AS last,
       ARRAY(SELECT order_id FROM noted) AS told,
       ARRAY(SELECT id::text FROM late WHERE reopenable ORDER BY random()) AS reopenable`
}

/** What is told of an order, as a part of a SELECT from `o`. */
function factsOf(columns: OrdersColumns): string {
  const { paidAt, cancelledAt } = columns
  // The zone of a session must not matter: under another time, a payment would be another one.
  const paid =
    paidAt?.type === 'date' ? `(o.${paidAt.sql}::timestamp AT TIME ZONE 'UTC')` : paidAt && instantOf(paidAt, 'o')
  const cancelled = cancelledAt ? instantOf(cancelledAt, 'o') : 'NULL::timestamptz'
  return `, ${paid} AS paid_at, ${cancelled} AS cancelled_at, ${deadlineOf(columns, 'o')} AS deadline`
}

function sinceOf({ paidAt, cancelledAt }: OrdersColumns, since: string): string {
  if (cancelledAt || !paidAt) return ''
  const value = paidAt.type === 'date' ? `${since}::date` : valueAt(paidAt, since, 'atLeast')
  return ` AND o.${paidAt.sql} >= ${value}`
}

/** @param from what has the facts of each order, as `l` */
function insertEvent({ outbox, name }: OrdersColumns, from: string, reopened: string): string {
  return `
  INSERT INTO ${outbox} (type, order_id, orders_table, data)
  SELECT 'order.paid_late', l.id::text, ${quoteLiteral(name)}, jsonb_strip_nulls(jsonb_build_object(
    'at', now(), 'paidAt', l.paid_at, 'cancelledAt', l.cancelled_at, 'deadline', l.deadline,
    'reopened', nullif(${reopened}, false)))
  FROM ${from}`
}
