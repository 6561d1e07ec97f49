import { quoteIdentifier } from '../columns.ts'
import { bounded, PLANNING_MS } from './bounded-look.ts'
import type { Database } from './database.ts'

/** An index by which a statement reads orders. Names are as the catalogue has them. */
export interface UsedIndex {
  /** Of an index on a partition, that of the whole table. */
  name: string
  first: string | null
  second: string | null
  /** How many orders it holds, as far as it is known. */
  many: number
  /** The condition that is checked on each order read by it; none: the index holds, or is searched for, no others. */
  filter: string | undefined
}

/** The row of `EXPLAIN (FORMAT JSON)`. */
export interface QueryPlan {
  'QUERY PLAN': [{ Plan: PlanNode }]
}

interface PlanNode {
  'Plan Rows': number
  'Relation Name'?: string
  'Index Name'?: string
  Schema: string
  Filter?: string
  Plans?: PlanNode[]
}

/**
 * By which indexes a statement reads the orders: one for each partition that it reads.
 *
 * @returns undefined where it has to read a table from end to end
 */
export async function usedIndexes(
  database: Database,
  statement: { sql: string; values: unknown[] },
): Promise<UsedIndex[] | undefined | 'unknown'> {
  return bounded(
    database,
    async () => {
      // What is left is an index that has the order of the query, however small the table.
      await database.query(
        'SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off',
      )
      const { rows } = await database.query<QueryPlan>(
        `EXPLAIN (VERBOSE, FORMAT JSON) ${statement.sql}`,
        statement.values,
      )
      const reads = rows.flatMap((row) => flatten(row['QUERY PLAN'][0].Plan)).filter((node) => node['Relation Name'])
      const names = reads.map((node) => node['Index Name'] && quotedName(node.Schema, node['Index Name']))
      if (names.includes(undefined)) return undefined
      const { rows: indexes } = await database.query<UsedIndex>(INDEXES_SQL, [names])
      return indexes.map((index, n) => ({ ...index, filter: reads[n]?.Filter }))
    },
    PLANNING_MS,
  )
}

function flatten(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
}

function quotedName(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/* $1 text[] indexes, quoted. A row for each, in their order. */
const INDEXES_SQL = `
SELECT (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(c.oid), c.oid)) AS name,
       a.attname AS first, b.attname AS second, c.reltuples::float8 AS many
FROM unnest($1::text[]) WITH ORDINALITY AS used (name, n)
JOIN pg_class c ON c.oid = used.name::regclass
JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
LEFT JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[1] AND i.indnkeyatts > 1
ORDER BY used.n`
