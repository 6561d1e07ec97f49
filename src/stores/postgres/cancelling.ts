import { FLOOR_MS } from '../../order/deadline.ts'
import { fingerprintOf } from './actors.ts'
import type { OrdersColumns } from './columns.ts'
import { atMs, ms } from './instants.ts'
import { insertEvents } from './outbox.ts'
import { assignments, deadlineOf, isCancelled, isUnpaid, paymentJson, paymentOf, statusOf } from './sql.ts'

/**
 * The statement that cancels, its dry run, and what shows whether it could and did.
 *
 * $1 ids, $2 deadlines in milliseconds that count where the row has none. One row for each id, in their order, as
 * `toOutcomes` takes them: what became of it, the status seen, its deadline and, in the first row, now, in milliseconds; where
 * orders have payments also the payment that is in the way.
 */
export function cancelStatements(columns: OrdersColumns) {
  const { table, id, idCast, deadline, payment } = columns
  const seen = seenSql(columns, '$6')
  const unpaid = isUnpaid(columns)
  const own = deadlineOf(columns, 'o')
  const floor = atMs(`${FLOOR_MS}`)
  /*
   * Cancels what is unpaid and due.
   *
   * `seen` reads the statement's snapshot; it may be behind. `due` takes the locks, in the order of the ids, and
   * PostgreSQL checks its conditions again on the newest version of each row it locks, so a payment that has been
   * committed meanwhile counts. What `seen` finds due and `due` does not, somebody else has locked or just changed. Only
   * rows that are to be cancelled are locked or written; of those, `done` has what came of it: a trigger may have kept the
   * row as it was, or have written something else.
   *
   * Each look-up goes by the id, with a plan for these values or for any, and whatever the statistics say: the lateral
   * subqueries and the array leave no other way to join, and with IS TRUE no index on the status, the payment or the
   * deadline fits. Left free, the planner may start from "all unpaid orders", which it expects to be few where
   * statistics are old or missing. `done` is no join, since the planner, which expects one row of each, would compare each
   * with each.
   *
   * $5 who has looked at the orders: `check` or `sweep`.
   *
   * $6, only where orders have payments, the references of those that were closed, or null: an order with another one, also if it
   * was given that just now, is not cancelled.
   *
   * $3 the oids and $4 the fingerprint of `readActors`, or null. Where the table has another one by now, nothing is cancelled,
   * as if all were locked: a new trigger could undo a cancellation unseen.
   */
  const by = '$5::text'
  const cancel = (event: string) => `
WITH ${seen}, due AS MATERIALIZED (
  SELECT o.id, o.deadline, o.status, s.ord
  FROM (SELECT id, min(ms) AS ms, min(ord) AS ord${payment ? ', min(closed) AS closed' : ''} FROM seen WHERE unpaid AND copies = 1 AND deadline BETWEEN ${floor} AND now()
          ${payment ? 'AND (payment IS NULL OR payment = closed)' : ''}
          AND ($3::oid[] IS NULL OR (SELECT ${fingerprintOf(columns, '$3::oid[]')} = $4::text))
        GROUP BY id ORDER BY id) s
  CROSS JOIN LATERAL (
    SELECT o.${id} AS id, coalesce(${own}, ${atMs('s.ms')}) AS deadline, ${statusOf(columns, 'o')} AS status
    FROM ${table} o
    WHERE o.${id} = s.id AND (${unpaid} AND coalesce(${own}, ${atMs('s.ms')}) BETWEEN ${floor} AND now()) IS TRUE
      ${payment ? `AND (${paymentOf(columns, 'o')} = s.closed OR ${paymentOf(columns, 'o')} IS NULL)` : ''}
    FOR UPDATE SKIP LOCKED
  ) o
), updated AS (
  UPDATE ${table} o
  SET ${assignments(columns)}
  WHERE o.${id} = ANY (ARRAY(SELECT id FROM due)) AND (${unpaid}${deadline ? ` AND coalesce(${own} <= now(), true)` : ''}) IS TRUE
  RETURNING o.${id} AS id, (${isCancelled(columns)}) IS TRUE AS cancelled
), done AS (
  SELECT id, min(ord) AS ord, min(deadline) AS deadline, min(status) AS status, bool_or(cancelled) AS cancelled
  FROM (SELECT id, ord, deadline, status, false AS cancelled FROM due UNION ALL SELECT id, NULL, NULL, NULL, cancelled FROM updated) d
  GROUP BY id
), event AS (${event}
)${answerSql(columns, `WHEN d.cancelled AND d.ord = s.ord THEN 'cancelled' WHEN d.cancelled THEN 'again' WHEN d.id IS NOT NULL THEN 'undone'`)}
FROM seen s LEFT JOIN done d ON d.id = s.id
ORDER BY s.ord`
  return {
    /* Fails as a whole if something has undone a cancellation, by a division by zero, whatever the outbox takes. */
    cancelUnpaid: cancel(
      insertEvents(columns, {
        cancelled: 'done c',
        by,
        type: "CASE WHEN cancelled THEN 'order.cancelled' ELSE (1 / cancelled::int)::text END",
      }),
    ),

    /* Tells which have been undone. */
    cancelWatched: cancel(
      insertEvents(columns, { cancelled: '(SELECT id, deadline, status FROM done WHERE cancelled) c', by }),
    ),

    /* What `cancelUnpaid` would do, without doing it. $3, only where orders have payments, as $6 there. */
    dryRun: `
WITH ${seenSql(columns, '$3')}${answerSql(columns, `WHEN s.unpaid AND s.copies = 1 AND s.deadline BETWEEN ${floor} AND now()${payment ? ' AND (s.payment IS NULL OR s.payment = s.closed)' : ''} THEN 'cancelled'`)}
FROM seen s
ORDER BY s.ord`,

    /* $1 ids. Those whose rows are not as their cancellation would have left them. */
    notCancelled: `
SELECT o.${id}::text AS id FROM ${table} o WHERE o.${id} = ANY ($1::${idCast}[]) AND (${isCancelled(columns)}) IS NOT TRUE`,

    /* $1 ids. Locks those whose rows nobody else has locked. */
    lockFree: `SELECT o.${id}::text AS id FROM ${table} o WHERE o.${id} = ANY ($1::${idCast}[]) ORDER BY o.${id} FOR UPDATE SKIP LOCKED`,

    /* $1 ids. Those whose rows nobody has locked and we may change; SQLSTATE 55P03 if somebody has locked one. */
    lockable: `SELECT o.${id}::text AS id FROM ${table} o WHERE o.${id} = ANY ($1::${idCast}[]) FOR UPDATE NOWAIT`,
  }
}

/** The orders of the batch as the snapshot has them. Of several rows with one id, an unpaid one is seen. */
function seenSql(columns: OrdersColumns, closed: string): string {
  const { table, id, idCast, isUnique, paidAt, payment } = columns
  const isThis = `FROM ${table} o WHERE o.${id} = i.id`
  return `seen AS (
  SELECT i.ord, i.ms, ${payment ? 'i.closed, o.payment, o.payment_json, ' : ''}o.id, o.status, o.unpaid, o.paid, ${isUnique ? '1' : 'c.copies'} AS copies,
         coalesce(o.deadline, ${atMs('i.ms')}) AS deadline
  FROM unnest($1::${idCast}[], $2::float8[]${payment ? `, ${closed}::text[]` : ''}) WITH ORDINALITY AS i (id, ms${payment ? ', closed' : ''}, ord)
  LEFT JOIN LATERAL (
    SELECT o.${id} AS id, ${statusOf(columns, 'o')} AS status, ${isUnpaid(columns)} AS unpaid,
           ${paidAt ? `o.${paidAt.sql} IS NOT NULL` : 'false'} AS paid, ${deadlineOf(columns, 'o')} AS deadline
           ${payment ? `, ${paymentOf(columns, 'o')} AS payment, ${paymentJson(columns, 'o')} AS payment_json` : ''}
    ${isThis}${isUnique ? '' : ` ORDER BY (${isUnpaid(columns)}) IS TRUE DESC`} LIMIT 1
  ) o ON true${isUnique ? '' : `\n  CROSS JOIN LATERAL (SELECT count(*) AS copies FROM (SELECT ${isThis} LIMIT 2) o) c`}
)`
}

function answerSql({ payment }: OrdersColumns, cancelled: string): string {
  const isOpen = `s.unpaid AND s.deadline <= now() AND s.payment <> coalesce(s.closed, '')`
  return `
SELECT CASE WHEN s.id IS NULL THEN 'missing' ${cancelled}
            WHEN s.unpaid AND s.copies > 1 THEN 'ambiguous' WHEN s.unpaid AND s.deadline < ${atMs(`${FLOOR_MS}`)} THEN 'unreadable'
            ${payment ? `WHEN ${isOpen} THEN 'payable'` : ''}
            WHEN s.unpaid THEN 'unpaid' WHEN s.paid THEN 'paid' ELSE 'kept' END,
       s.status, ${ms('s.deadline')}, CASE s.ord WHEN 1 THEN ${ms('now()')} END${payment ? `, CASE WHEN ${isOpen} THEN s.payment_json END` : ''}`
}
