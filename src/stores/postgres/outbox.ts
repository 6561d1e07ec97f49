import type { OrdersColumns } from './columns.ts'
import { quoteIdentifier } from './quoting.ts'
import { ms } from './sql.ts'

/** The table of events that wait to be sent, beside the orders table. */
export const OUTBOX_TABLE = 'order_expiry_outbox'
export const OUTBOX_COLUMNS = ['id', 'event_id', 'type', 'order_id', 'data', 'created_at'] as const

const MOST_EVENTS_COUNTED = 10_000
/** How many events are searched for those of one order; it takes a few milliseconds. */
export const EVENTS_SEARCHED = 10_000

/** The outbox as SQL, quoted, with its schema. */
export function outboxTable(columns: OrdersColumns): string {
  return `${quoteIdentifier(columns.schema)}.${quoteIdentifier(OUTBOX_TABLE)}`
}

/** Creates the outbox; may be run again. */
export function createOutboxSql(columns: OrdersColumns): string {
  return `CREATE TABLE IF NOT EXISTS ${outboxTable(columns)} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id uuid NOT NULL DEFAULT gen_random_uuid(),
  type text NOT NULL,
  order_id text NOT NULL,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
)`
}

/** @param cancelled a table with the id and the deadline of each cancelled order */
export function insertEvents(columns: OrdersColumns, cancelled: string): string {
  return `
  INSERT INTO ${outboxTable(columns)} (type, order_id, data)
  SELECT 'order.cancelled', id::text, jsonb_build_object('at', now(), 'deadline', deadline) FROM ${cancelled}`
}

export function outboxStatements(columns: OrdersColumns) {
  const outbox = outboxTable(columns)
  return {
    /* For the orders that the shop's own statement has cancelled. $1 text[] ids, $2 timestamptz[] deadlines. */
    insertOutbox: insertEvents(columns, 'unnest($1::text[], $2::timestamptz[]) AS c (id, deadline)'),

    /* How many events wait, counted up to a limit, and how long the first one has waited. */
    outbox: `
SELECT (SELECT count(*)::int FROM (SELECT FROM ${outbox} LIMIT ${MOST_EVENTS_COUNTED}) o) AS events,
       (SELECT ${ms('now()')} - ${ms('o.created_at')} FROM ${outbox} o ORDER BY o.id LIMIT 1) AS "ageMs"`,

    /* $1 order id. Searches the newest events, since no index has the order ids; `searched` says how many. */
    eventsOf: `
SELECT count(*)::int AS searched,
       coalesce(jsonb_agg(jsonb_build_object('id', o.event_id, 'type', o.type, 'at', ${ms('o.created_at')}) ORDER BY o.id)
         FILTER (WHERE o.order_id = $1), '[]') AS events
FROM (SELECT id, event_id, type, order_id, created_at FROM ${outbox} ORDER BY id DESC LIMIT ${EVENTS_SEARCHED}) o`,
  }
}
