import type { OrdersTable } from './columns.ts'

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
}

/** Also of the tables beneath a view, and of partitions. */
export async function readActors({ database, columns }: OrdersTable): Promise<Actors> {
  const { rows } = await database.query<Actors>(ACTORS_SQL, [columns.table])
  return rows[0] as Actors
}

const ACTORS_SQL = `
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
  FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid
  WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 16) <> 0
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
       EXISTS (SELECT FROM relation r JOIN pg_class c ON c.oid = r.oid
               WHERE c.relrowsecurity AND (row_security_active(r.oid) OR r.oid <> $1::regclass)) AS "hasRowSecurity"`
