import { type OrdersColumns, type OrdersMapping, unquoteIdentifier } from './postgres-columns.ts'

/** The name of the index that {@link sweepIndexStatement} creates. */
export const SWEEP_INDEX = 'order_expiry_unpaid'

/**
 * The statement for the index by which overdue unpaid orders are found; undefined columns aside, it holds unpaid orders
 * only, and so stays small. Run by the shop, not by us: it takes a while on a big table.
 */
export function sweepIndexStatement(columns: OrdersColumns, mapping: OrdersMapping): string {
  const { table, id, deadline } = columns
  return `CREATE INDEX CONCURRENTLY ${SWEEP_INDEX} ON ${table} (${deadline?.sql}, ${id}) WHERE ${isUnpaidSql(columns, mapping)};`
}

/** The condition that an order counts as unpaid, with its statuses as literals. */
export function isUnpaidSql({ status, paidAt }: OrdersColumns, mapping: OrdersMapping): string {
  return `${status} IN (${mapping.unpaidStatuses.map(quoteLiteral).join(', ')})${paidAt ? ` AND ${paidAt.sql} IS NULL` : ''}`
}

/**
 * Whether the sweeper's query can go by an index: a valid one, led by the deadline, over all orders or at least over the
 * unpaid ones. Of a partial index, the condition must name each unpaid status and no column but those we ask by.
 */
export async function hasSweepIndex(options: {
  database: { query(sql: string, values: unknown[]): Promise<{ rows: unknown[] }> }
  columns: OrdersColumns
  mapping: OrdersMapping
}): Promise<boolean> {
  const { database, columns, mapping } = options
  const { table, deadline } = columns
  if (!deadline) return false
  const { rows } = await database.query(SWEEP_INDEX_SQL, [
    table,
    unquoteIdentifier(deadline.sql),
    // As pg_get_expr writes them, which never uses E''.
    mapping.unpaidStatuses.map((unpaid) => `'${unpaid.replaceAll("'", "''")}'`),
    [columns.status, deadline.sql, columns.paidAt?.sql].filter((column) => column !== undefined).map(unquoteIdentifier),
  ])
  return rows.length > 0
}

/*
 * $1 the table, $2 the deadline column, $3 the unpaid statuses as literals, $4 the columns that a condition may be on.
 *
 * pg_depend has a row for each column of an index, those of its condition included.
 */
const SWEEP_INDEX_SQL = `
SELECT FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2 AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indisready AND m.amname = 'btree'
  AND (i.indpred IS NULL OR (
    NOT EXISTS (SELECT FROM unnest($3::text[]) s WHERE strpos(pg_get_expr(i.indpred, i.indrelid), s) = 0)
    AND NOT EXISTS (
      SELECT FROM pg_depend d JOIN pg_attribute p ON p.attrelid = d.refobjid AND p.attnum = d.refobjsubid
      WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid > 0
        AND p.attname <> ALL ($4::text[]) AND p.attnum <> ALL (i.indkey::int2[]))))
LIMIT 1`

/** An SQL literal. https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
