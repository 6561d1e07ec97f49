import type { Database } from './database.ts'
import { sqlStateOf } from './errors.ts'

const BEGIN = 'BEGIN READ ONLY'
const END = 'ROLLBACK'

/**
 * A connection over which nothing can be written: all its statements run in read-only transactions. One goes on until it fails,
 * or a caller ends it by `ROLLBACK`, which must also come last. It is no setting of the session: a pooler would hand that on.
 */
export function readOnly(client: Database): Database {
  let isOpen = false
  let last: Promise<unknown> = Promise.resolve()

  async function run<Row extends object>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }> {
    if (sql === END && !isOpen) return { rows: [] }
    if (sql !== END && !isOpen) await client.query(BEGIN)
    isOpen = sql !== END
    if (sql === BEGIN) return { rows: [] }
    try {
      return await client.query<Row>(sql, values)
    } catch (error) {
      isOpen = false
      if (sqlStateOf(error)) await client.query(END).catch(() => {}) // else the connection is lost
      throw error
    }
  }

  return {
    // One after another, so that each is within a transaction.
    query<Row extends object>(sql: string, values?: unknown[]) {
      const answer = last.then(() => run<Row>(sql, values))
      last = answer.catch(() => {})
      return answer
    },
  }
}
