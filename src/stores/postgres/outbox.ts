import { OrderExpiryError } from '../../errors.ts'
import type { OrdersColumns, OrdersTable } from './columns.ts'
import { type Database, oneValue } from './database.ts'
import { ms } from './instants.ts'
import { quoteIdentifier, quoteLiteral, splitTable, unquoteIdentifier } from './quoting.ts'
import { isCancelled, isPaidLate } from './sql.ts'

const MOST_EVENTS_COUNTED = 10_000
/** How many events are searched for those of one order; it takes a few milliseconds. */
export const EVENTS_SEARCHED = 10_000

export const FIRST_COLUMNS = ['id', 'event_id', 'type', 'order_id', 'data', 'created_at']
/** The columns that every version writes or reads. */
export const OUTBOX_COLUMNS: readonly string[] = [...FIRST_COLUMNS, 'orders_table']
/** What is known of the deliveries of an event. */
const DELIVERY_COLUMNS = ['delivered_to', 'attempts', 'delivered_at']

/** Our records of a table: its events, and when it was first seen. */
const CREATE = {
  outbox: (columns: OrdersColumns) => `CREATE TABLE IF NOT EXISTS ${columns.outbox} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id uuid NOT NULL DEFAULT gen_random_uuid(),
  type text NOT NULL,
  order_id text NOT NULL,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  orders_table text,
  delivered_to text[] NOT NULL DEFAULT '{}',
  attempts jsonb,
  delivered_at timestamptz
)`,
  /* Events from before this column say nothing of their table. */
  ordersTable: (columns: OrdersColumns) => `ALTER TABLE ${columns.outbox} ADD COLUMN IF NOT EXISTS orders_table text`,
  deliveries: (columns: OrdersColumns) => `ALTER TABLE ${columns.outbox}
  ADD COLUMN IF NOT EXISTS delivered_to text[] NOT NULL DEFAULT '{}',
  ADD COLUMN IF NOT EXISTS attempts jsonb,
  ADD COLUMN IF NOT EXISTS delivered_at timestamptz`,
  /* What is still to be delivered, so that what is kept need not be passed over; and what is kept, by its age. */
  undelivered: (columns: OrdersColumns) => indexOf(columns, 'undelivered', '(id) WHERE delivered_at IS NULL'),
  delivered: (columns: OrdersColumns) => indexOf(columns, 'delivered', '(delivered_at) WHERE delivered_at IS NOT NULL'),
  /* Keeps an event from being put in twice; a cancellation is written once anyway, and costs nothing here. */
  once: (columns: OrdersColumns) =>
    indexOf(columns, 'once', "(event_id) WHERE type <> 'order.cancelled'", 'UNIQUE INDEX'),
  registry: (columns: OrdersColumns) => `CREATE TABLE IF NOT EXISTS ${columns.registry} (
  orders_table text PRIMARY KEY,
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  late_since timestamptz
)`,
  entry: (columns: OrdersColumns) =>
    `INSERT INTO ${columns.registry} (orders_table) VALUES (${quoteLiteral(columns.name)}) ON CONFLICT DO NOTHING`,
  lateSince: (columns: OrdersColumns) =>
    `ALTER TABLE ${columns.registry} ADD COLUMN IF NOT EXISTS late_since timestamptz`,
  latePayments: (columns: OrdersColumns) => `CREATE TABLE IF NOT EXISTS ${columns.latePayments} (
  orders_table text NOT NULL,
  order_id text NOT NULL,
  paid_at timestamptz NOT NULL,
  told_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (orders_table, order_id, paid_at)
)`,
  /* Nobody is told of what came before ORDERS_PAID_AT_COLUMN was set, which may be years after the table was first seen. */
  lateEntry: (columns: OrdersColumns) =>
    `UPDATE ${columns.registry} SET late_since = now() WHERE orders_table = ${quoteLiteral(columns.name)} AND late_since IS NULL`,
}

function indexOf({ outbox }: OrdersColumns, what: string, on: string, kind = 'INDEX'): string {
  const table = unquoteIdentifier(splitTable(outbox)?.at(-1) ?? '')
  return `CREATE ${kind} IF NOT EXISTS ${quoteIdentifier(`${table.slice(0, 40)}_${what}`)} ON ${outbox} ${on}`
}

/** What is missing of our records, with the statement that creates it; each may be run again. */
interface MissingRecord {
  sql: string
  /** What does not work without it. */
  need: 'cancelling' | 'deliveries' | 'late payments'
}

/** In the order in which they are to be created. */
export async function missingRecords({ database, columns }: OrdersTable): Promise<MissingRecord[]> {
  const missing: (keyof typeof CREATE)[] = []
  const has = await columnsOf(database, columns.outbox)
  const isLacking = (names: readonly string[]) => names.some((name) => !has?.includes(name))
  if (!has) {
    await expectSchema(database, columns.outbox)
    missing.push('outbox', 'undelivered', 'delivered', 'once')
  } else if (isLacking(FIRST_COLUMNS)) {
    const lacks = FIRST_COLUMNS.filter((name) => !has.includes(name)).join(', ')
    const given = `${columns.outbox} is there already, without ${lacks}`
    const message = `OUTBOX_TABLE: expected a table of order-expiry, ${given}; name another, such as OUTBOX_TABLE=order_expiry_events`
    throw new OrderExpiryError('STORE_MISMATCH', message)
  } else {
    if (isLacking(['orders_table'])) missing.push('ordersTable')
    if (isLacking(DELIVERY_COLUMNS)) missing.push('deliveries', 'undelivered', 'delivered', 'once')
  }
  const known = await columnsOf(database, columns.registry)
  if (!known) missing.push('registry', 'entry')
  else if ((await firstSeen({ database, columns })) === undefined) missing.push('entry')
  if (isPaidLate(columns)) {
    const isKnown = known?.includes('late_since') && !missing.includes('entry')
    if (known && !known.includes('late_since')) missing.push('lateSince')
    if (!(await columnsOf(database, columns.latePayments))) missing.push('latePayments')
    if (!isKnown || !(await hasLateSince({ database, columns }))) missing.push('lateEntry')
  }
  const needOf = (what: string) => {
    if (/^late/.test(what)) return 'late payments'
    return has !== null && /^(deliveries|undelivered|delivered|once)$/.test(what) ? 'deliveries' : 'cancelling'
  }
  return missing.map((what) => ({ sql: CREATE[what](columns), need: needOf(what) }))
}

/** Null if there is no such table. */
function columnsOf(database: Database, table: string): Promise<string[] | null> {
  return oneValue(database, HAS_SQL, [table])
}

async function expectSchema(database: Database, outbox: string): Promise<void> {
  const [schema = ''] = splitTable(outbox) ?? []
  if (await oneValue<boolean>(database, 'SELECT to_regnamespace($1) IS NOT NULL', [schema])) return
  const message = `OUTBOX_TABLE: expected a schema that is there, given ${schema}; CREATE SCHEMA ${schema} first`
  throw new OrderExpiryError('STORE_MISMATCH', message)
}

/* $1 a table: its columns; null if there is no such table. */
const HAS_SQL = `
SELECT CASE WHEN to_regclass($1) IS NOT NULL THEN ARRAY(
  SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND NOT attisdropped) END`

/** When `migrate` first saw the orders table, in epoch milliseconds. */
export async function firstSeen({ database, columns }: OrdersTable): Promise<number | undefined> {
  const sql = `SELECT (SELECT ${ms('first_seen_at')} FROM ${columns.registry} WHERE orders_table = $1)`
  return (await oneValue<number | null>(database, sql, [columns.name])) ?? undefined
}

function hasLateSince({ database, columns }: OrdersTable): Promise<boolean> {
  const sql = `SELECT EXISTS (SELECT FROM ${columns.registry} WHERE orders_table = $1 AND late_since IS NOT NULL)`
  return oneValue(database, sql, [columns.name])
}

/**
 * @param options.cancelled what has the id, the deadline and the status before of each cancelled order, as a FROM
 * @param options.by who has looked at the orders, as SQL
 */
export function insertEvents(
  columns: OrdersColumns,
  { cancelled, by, type = "'order.cancelled'" }: { cancelled: string; by: string; type?: string },
): string {
  const status = columns.status ? `'statusBefore', status, ` : ''
  return `
  INSERT INTO ${columns.outbox} (type, order_id, orders_table, data)
  SELECT ${type}, id::text, ${quoteLiteral(columns.name)},
    jsonb_build_object('at', now(), 'deadline', deadline, ${status}'decidedBy', ${by})
  FROM ${cancelled}`
}

/** An event that does not say of which table it is may be of ours. */
export function isOfTable(columns: OrdersColumns): string {
  return `(o.orders_table = ${quoteLiteral(columns.name)} OR o.orders_table IS NULL)`
}

/** @param id SQL of the order's id, as `canonicalId` has it */
export function isOfOrder({ idType }: OrdersColumns, id: string): string {
  return idType === 'citext' ? `lower(o.order_id) = lower(${id})` : `o.order_id = ${id}`
}

export function outboxStatements(columns: OrdersColumns, { hasDeliveries }: { hasDeliveries?: boolean | undefined }) {
  const { outbox, table, id, idCast } = columns
  const isOurs = `o.orders_table = ${quoteLiteral(columns.name)}`
  const isUndelivered = `o.delivered_at IS NULL AND coalesce(o.attempts::text, '') NOT LIKE '%"givenUpAt"%' AND `
  const deliveryColumns = hasDeliveries ? `, ${DELIVERY_COLUMNS.join(', ')}` : ''
  const deliveryParts = hasDeliveries
    ? `, 'deliveredTo', o.delivered_to, 'attempts', o.attempts, 'deliveredAt', ${ms('o.delivered_at')}`
    : ''
  const waits = `${hasDeliveries ? isUndelivered : ''}${isOfTable(columns)}`
  return {
    /*
     * For the orders that the shop's own statement has cancelled. $1 text[] ids, $2 timestamptz[] deadlines, $3 text[] statuses
     * before, $4 who has looked at them.
     */
    insertOutbox: insertEvents(columns, {
      cancelled: 'unnest($1::text[], $2::timestamptz[], $3::text[]) AS c (id, deadline, status)',
      by: '$4::text',
    }),

    /* How many events of this table wait, counted up to a limit, and how long the first one has waited. */
    outbox: `
SELECT (SELECT count(*)::int FROM (SELECT FROM ${outbox} o WHERE ${waits} LIMIT ${MOST_EVENTS_COUNTED}) o) AS events,
       (SELECT ${ms('now()')} - ${ms('o.created_at')} FROM ${outbox} o WHERE ${waits}
        ORDER BY o.id LIMIT 1) AS "ageMs"`,

    /*
     * $1 order id. Searches the newest events, since no index has the order ids; `searched` says how many. An event that does
     * not say of which table it is counts, unless the order of this one is not cancelled.
     */
    eventsOf: `
SELECT count(*)::int AS searched,
       coalesce(jsonb_agg(jsonb_build_object('id', o.event_id, 'type', o.type, 'at', ${ms('o.created_at')}, 'reopened', o.data->'reopened'${deliveryParts}) ORDER BY o.id)
         FILTER (WHERE ${isOfOrder(columns, '$1')} AND (${isOurs} OR o.orders_table IS NULL AND NOT c.is_another)), '[]') AS events
FROM (SELECT id, event_id, type, order_id, created_at, orders_table, data${deliveryColumns} FROM ${outbox} ORDER BY id DESC LIMIT ${EVENTS_SEARCHED}) o,
     (SELECT EXISTS (SELECT FROM ${table} t WHERE t.${id} = $1::text::${idCast} AND (${isCancelled(columns)}) IS NOT TRUE) AS is_another) c`,
  }
}
