import type { Database } from '../database.ts'
import { quoteIdentifier } from '../quoting.ts'
import { bounded, PLANNING_MS } from './bounded-look.ts'

/** An index by which a statement reads orders. Names are as the catalogue has them. */
export interface UsedIndex {
  /** For an index on a partition, that of the whole table. */
  name: string
  /** The columns it is ordered by; null for an expression, or none. */
  first: string | null
  second: string | null
  /** How many orders it holds, as far as known. */
  many: number
  /** The condition that is still checked on each order read by it. */
  filter: string | undefined
}

/** The row of `EXPLAIN (FORMAT JSON)`. */
export interface QueryPlan {
  'QUERY PLAN': [{ Plan: PlanNode }]
}

interface PlanNode extends Partial<Record<'Relation Name' | 'Index Name' | 'Filter', string>> {
  'Plan Rows': number
  Schema: string
  Plans?: PlanNode[]
}

/** By which index the planner would read the orders, for each partition; undefined if it can only read a table from end to end. */
export async function usedIndexes(
  database: Database,
  sql: string,
  values: unknown[] = [],
): Promise<UsedIndex[] | undefined | 'unknown'> {
  const look = async () => {
    // Leaves only an index that has the order of the query, however small the table.
    const others = ['enable_seqscan', 'enable_bitmapscan', 'enable_sort']
    await database.query(others.map((way) => `SET LOCAL ${way} = off`).join('; '))
    const { rows } = await database.query<QueryPlan>(`EXPLAIN (VERBOSE, FORMAT JSON) ${sql}`, values)
    const reads = rows.flatMap((row) => flatten(row['QUERY PLAN'][0].Plan)).filter((node) => node['Relation Name'])
    const names = reads.map(({ Schema, 'Index Name': name }) => name && [Schema, name].map(quoteIdentifier).join('.'))
    if (names.includes(undefined)) return undefined
    const { rows: indexes } = await database.query<UsedIndex>(INDEXES_SQL, [names])
    return indexes.map((index, n) => ({ ...index, filter: reads[n]?.Filter }))
  }
  return bounded(database, look, PLANNING_MS)
}

function flatten(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
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
