import { jest } from '@jest/globals'
import pg from 'pg'
import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'

interface Statement {
  text: string
  values: readonly unknown[]
  /** What is set in its transaction before it. */
  settings?: string | undefined
}

/** What a plan has done. */
interface Done {
  /** The indexes by which the table of orders was read; `Seq Scan` where it was read from end to end. */
  waysToOrders: string[]
  /** Orders that one of its steps has looked at, at most. */
  mostOrders: number
  pages: number
}

interface Node {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

/** The statements that a store sends for a piece of work, as they reach the driver. */
export async function sentBy(
  settings: PostgresSettings,
  work: (store: PostgresStore) => Promise<unknown>,
): Promise<readonly Statement[]> {
  const store = await PostgresStore.open({ settings, connections: 1, onError: () => {} })
  const spy = jest.spyOn(pg.Client.prototype, 'query')
  try {
    await work(store)
    const sent = spy.mock.calls.map(([query, values]: unknown[]) =>
      typeof query === 'string'
        ? { text: query, values: (values as unknown[] | undefined) ?? [] }
        : (query as Statement),
    )
    return sent.filter(({ text }) => !text.includes('"isBounded"')) // the look of a new connection at itself
  } finally {
    spy.mockRestore()
    await store.close()
  }
}

/** Runs a statement with a plan for its values and, unless it asks for that, with one for any values; takes back what it does. */
export async function plansOf(database: pg.Client, { text, values, settings = '' }: Statement): Promise<Done[]> {
  const literals = values.map((value) =>
    value === null ? 'NULL' : `'${Array.isArray(value) ? `{${value.join()}}` : value}'`,
  )
  const done: Done[] = []
  for (const mode of ['force_custom_plan', 'force_generic_plan']) {
    await database.query(`BEGIN; SET LOCAL plan_cache_mode = ${mode}; ${settings}; PREPARE probe AS ${text}`)
    const { rows } = await database.query(
      `EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) EXECUTE probe(${literals})`,
    )
    await database.query('ROLLBACK; DEALLOCATE probe')
    const root: Node = rows[0]['QUERY PLAN'][0].Plan
    const nodes = flatten(root)
    const reads = nodes.filter((node) => node['Relation Name'] === 'orders' && node['Node Type'] !== 'ModifyTable')
    // The catalogue is looked at once for each batch.
    const ways = [...nodes.map((node) => node['Index Name']), ...reads.map(way)]
      .filter((name) => name !== undefined)
      .filter((name) => !name.startsWith('pg_'))
    done.push({
      waysToOrders: [...new Set(ways)],
      mostOrders: Math.max(...reads.map(ordersReadBy)),
      pages: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
    })
  }
  return done
}

function flatten(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
}

function way(node: Node): string | undefined {
  return node['Node Type'] === 'Seq Scan' ? 'Seq Scan' : undefined
}

function ordersReadBy(node: Node): number {
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  return (node['Actual Rows'] + removed) * node['Actual Loops']
}
