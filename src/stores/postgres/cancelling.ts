import type { OrdersColumns } from './columns.ts'
import { insertEvents } from './outbox.ts'
import { atMs, deadlineOf, inUtc, isUnpaid, ms } from './sql.ts'

/**
 * The statement that cancels, and its dry run.
 *
 * $1 ids, $2 deadlines in milliseconds that count where the row has none, $3 text[] unpaid statuses, $4 (to cancel only) the
 * cancelled status. One row for each id, in their order, as `toOutcomes` takes them: what became of it, the status seen, its
 * deadline and, in the first row, now, in milliseconds.
 */
export function cancelStatements(columns: OrdersColumns) {
  const { table, id, status, statusType, deadline, cancelledAt } = columns
  const seen = seenSql(columns)
  const unpaid = isUnpaid(columns, '$3')
  const own = deadlineOf(columns, 'o')
  return {
    /*
     * Cancels what is unpaid and due.
     *
     * `seen` reads the statement's snapshot; it may be behind. `due` takes the locks, in the order of the ids, and
     * PostgreSQL checks its conditions again on the newest version of each row it locks, so a payment that has been
     * committed meanwhile counts. What `seen` finds due and `due` does not, somebody else has locked or just changed. Only
     * rows that are to be cancelled are locked or written.
     *
     * Each look-up goes by the id, with a plan for these values or for any, and whatever the statistics say: the lateral
     * subqueries and the array leave no other way to join, and with IS TRUE no index on the status, the payment or the
     * deadline fits. Left free, the planner may start from "all unpaid orders", which it expects to be few where
     * statistics are old or missing.
     */
    cancelUnpaid: `
WITH ${seen}, due AS MATERIALIZED (
  SELECT o.id, o.deadline, s.ord
  FROM (SELECT id, min(ms) AS ms, min(ord) AS ord FROM seen WHERE unpaid AND deadline <= now() GROUP BY id ORDER BY id) s
  CROSS JOIN LATERAL (
    SELECT o.${id} AS id, coalesce(${own}, ${atMs('s.ms')}) AS deadline
    FROM ${table} o
    WHERE o.${id} = s.id AND (${unpaid} AND coalesce(${own}, ${atMs('s.ms')}) <= now()) IS TRUE
    FOR UPDATE SKIP LOCKED
  ) o
), updated AS (
  UPDATE ${table} o
  SET ${status} = $4::text::${statusType}${cancelledAt ? `, ${cancelledAt.sql} = ${inUtc('now()', cancelledAt.type)}` : ''}
  WHERE o.${id} = ANY (ARRAY(SELECT id FROM due)) AND (${unpaid}${deadline ? ` AND coalesce(${own} <= now(), true)` : ''}) IS TRUE
  RETURNING o.${id} AS id
), cancelled AS (
  SELECT id, ord, deadline FROM updated JOIN due USING (id)
), event AS (${insertEvents(columns, 'cancelled')}
)${answerSql(`WHEN c.ord = s.ord THEN 'cancelled' WHEN c.id IS NOT NULL THEN 'again'`)}
FROM seen s LEFT JOIN cancelled c ON c.id = s.id
ORDER BY s.ord`,

    /* What `cancelUnpaid` would do, without doing it. */
    dryRun: `
WITH ${seen}${answerSql(`WHEN s.unpaid AND s.deadline <= now() THEN 'cancelled'`)}
FROM seen s
ORDER BY s.ord`,
  }
}

/** The orders of the batch as the snapshot has them. */
function seenSql(columns: OrdersColumns): string {
  const { table, id, idType, status, paidAt } = columns
  return `seen AS (
  SELECT i.ord, i.ms, o.id, o.status, o.unpaid, o.paid, coalesce(o.deadline, ${atMs('i.ms')}) AS deadline
  FROM unnest($1::${idType}[], $2::float8[]) WITH ORDINALITY AS i (id, ms, ord)
  LEFT JOIN LATERAL (
    SELECT o.${id} AS id, o.${status}::text AS status, ${isUnpaid(columns, '$3')} AS unpaid,
           ${paidAt ? `o.${paidAt.sql} IS NOT NULL` : 'false'} AS paid, ${deadlineOf(columns, 'o')} AS deadline
    FROM ${table} o WHERE o.${id} = i.id LIMIT 1
  ) o ON true
)`
}

function answerSql(cancelled: string): string {
  return `
SELECT CASE WHEN s.id IS NULL THEN 'missing' ${cancelled} WHEN s.unpaid THEN 'unpaid' WHEN s.paid THEN 'paid' ELSE 'kept' END,
       s.status, ${ms('s.deadline')}, CASE s.ord WHEN 1 THEN ${ms('now()')} END`
}
