import { OrderExpiryError } from '../../errors.ts'
import type { OrdersColumns, OrdersTable } from './columns.ts'
import { quoteLiteral, unquoteIdentifier } from './quoting.ts'

/** What else acts when a row of the orders table is written, and may undo it. */
export interface Actors {
  /** Triggers, rules and foreign tables, for people: `trigger keep_paid on shop.orders`. */
  names: string[]
  /** Whether row security may keep our role from rows. */
  hasRowSecurity: boolean
  /** Whether some of them act after the row is written, so that the statement itself does not see it. */
  actLater: boolean
  /** Whether a trigger, of whatever table, may run only at the end of a transaction. */
  canDefer: boolean
  /** The table, those beneath a view, and partitions, by their oids. */
  relations: string[]
  /** The types of the columns whose meaning hangs on them. */
  types: string
  /** Another one as soon as the table, a trigger or one of these types is. */
  fingerprint: string
}

/** Also of the tables beneath a view, and of partitions. */
export async function readActors({ database, columns }: OrdersTable): Promise<Actors> {
  const { rows } = await database.query<Actors>(actorsSql(columns), [columns.table])
  return rows[0] as Actors
}

/** @throws {OrderExpiryError} STORE_MISMATCH if the statements no longer read the columns as they are meant */
export function expectSameTypes(columns: OrdersColumns, before: Actors, now: Actors): void {
  if (before.types === now.types) return
  const message = `the columns of ${columns.name} have other types than at the start (${now.types}; before: ${before.types}): restart order-expiry`
  throw new OrderExpiryError('STORE_MISMATCH', message)
}

/** The fingerprint that {@link readActors} gives, as SQL. @param relations the oids, as SQL */
export function fingerprintOf(columns: OrdersColumns, relations: string): string {
  return `concat_ws(' ', ${quoteLiteral(columns.table)}::regclass::oid, ${typesOf(columns)}, (
    SELECT string_agg(t.oid || '.' || t.xmin::text, ' ' ORDER BY t.oid) FROM pg_trigger t
    WHERE t.tgrelid = ANY (${relations}) AND NOT t.tgisinternal))`
}

/** A `timestamptz` that becomes a `timestamp` means other instants, and no statement fails. */
function typesOf({ table, id, deadline }: OrdersColumns): string {
  const names = [id, deadline?.sql].flatMap((sql) => (sql === undefined ? [] : quoteLiteral(unquoteIdentifier(sql))))
  return `(SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, NULL), ', ' ORDER BY a.attname) FROM pg_attribute a
    WHERE a.attrelid = ${quoteLiteral(table)}::regclass AND a.attname IN (${names.join(', ')}))`
}

const actorsSql = (columns: OrdersColumns) => `
WITH RECURSIVE relation AS (
  SELECT $1::regclass::oid AS oid
  UNION
  SELECT x.oid FROM relation r CROSS JOIN LATERAL (
    SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = r.oid
    UNION ALL
    SELECT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
    WHERE w.ev_class = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.oid
  ) x
), actor AS (
  SELECT 'trigger ' || quote_ident(t.tgname) || ' on ' || r.oid::regclass AS name, (t.tgtype & 2) = 0 AS acts_later
  FROM relation r JOIN pg_class c ON c.oid = r.oid JOIN pg_trigger t ON t.tgrelid = r.oid
  WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
    -- UPDATE; a row that changes its partition is also deleted from one and inserted into the other
    AND (t.tgtype & CASE WHEN c.relispartition OR c.relkind = 'p' THEN 28 ELSE 16 END) <> 0
  UNION ALL
  SELECT 'rule ' || quote_ident(w.rulename) || ' on ' || r.oid::regclass, true
  FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
  WHERE w.ev_type = '2' AND w.ev_enabled <> 'D'
  UNION ALL
  SELECT 'the server of ' || r.oid::regclass, true FROM relation r JOIN pg_class c ON c.oid = r.oid WHERE c.relkind = 'f'
)
SELECT ARRAY(SELECT DISTINCT name FROM actor ORDER BY name) AS names,
       EXISTS (SELECT FROM actor WHERE acts_later) AS "actLater",
       EXISTS (SELECT FROM pg_trigger WHERE tgdeferrable AND NOT tgisinternal) AS "canDefer",
       ARRAY(SELECT oid::text FROM relation) AS relations, ${typesOf(columns)} AS types,
       ${fingerprintOf(columns, 'ARRAY(SELECT oid FROM relation)')} AS fingerprint,
       EXISTS (SELECT FROM relation r JOIN pg_class c ON c.oid = r.oid
               WHERE c.relrowsecurity AND (row_security_active(r.oid) OR r.oid <> $1::regclass)) AS "hasRowSecurity"`
