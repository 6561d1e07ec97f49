/** A row of {@link COLUMNS_SQL}. */
export interface ColumnRow {
  schema: string
  relation: string
  name: string
  type: string
  sql_type: string
  labels: string[] | null
  is_domain: boolean
  /** Of char(n) and varchar(n). */
  max_length: number | null
  is_generated: boolean
  /** Whether no two rows have the same value, guaranteed by an index of this table. */
  is_unique: boolean
  /** As in pg_class: a table is r or p, a view v or m, a foreign table f; `inherited` a table from which others inherit. */
  kind: string
  is_not_null: boolean
  is_readable: boolean
}

/**
 * $1 the table as SQL, quoted. No row: there is no such table. `type` is the base type (of a domain, what it is over in the end),
 * `sql_type` what to cast to, `labels` those of an enum. A cast to the domain itself is done only after planning, and then no
 * partial index fits.
 */
export const COLUMNS_SQL = `
SELECT n.nspname AS schema, c.relname AS relation, a.attname AS name,
       coalesce(base.typname, t.typname) AS type, format_type(coalesce(base.oid, t.oid), NULL) AS sql_type,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e
        WHERE e.enumtypid = coalesce(base.oid, t.oid)) AS labels,
       base.oid IS NOT NULL AS is_domain, a.attgenerated <> '' AS is_generated,
       CASE WHEN coalesce(base.typname, t.typname) IN ('bpchar', 'varchar')
            THEN nullif(greatest(a.atttypmod, base.typmod), -1) - 4 END AS max_length,
       CASE WHEN h.is_inherited THEN 'inherited' ELSE c.relkind::text END AS kind, a.attnotnull AS is_not_null,
       has_column_privilege(c.oid, a.attnum, 'SELECT') AS is_readable,
       NOT h.is_inherited AND EXISTS ( -- an index of a table does not hold for those that inherit from it
         SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
           AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS is_unique
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN LATERAL (
  WITH RECURSIVE domain AS (
    SELECT t.typbasetype, t.typtypmod
    UNION ALL SELECT d.typbasetype, d.typtypmod FROM domain JOIN pg_type d ON d.oid = domain.typbasetype WHERE d.typtype = 'd')
  SELECT b.oid, b.typname, (SELECT max(typtypmod) FROM domain) AS typmod
  FROM domain JOIN pg_type b ON b.oid = domain.typbasetype WHERE b.typtype <> 'd'
) base ON true
CROSS JOIN LATERAL (
  SELECT c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS is_inherited) h
WHERE c.oid = to_regclass($1)
ORDER BY a.attnum`
