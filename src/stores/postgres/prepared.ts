import { createHash } from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import { sqlStateOf } from './errors.ts'

/** A statement that is parsed once for each connection, and planned at most a few times. */
export interface Prepared {
  name: string
  text: string
}

/** A connection to the database. */
interface Connection {
  query(statement: { name?: string; text: string; values: unknown[]; rowMode: 'array' }): Promise<{ rows: unknown[] }>
}

/**
 * A name is the same for every process, and behind a pooler one connection of the server is used by many: equal names must
 * mean equal statements.
 */
export function prepare(what: string, text: string): Prepared {
  return { name: `order_expiry_${what}_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`, text }
}

/**
 * What says that a name cannot be used now; the statement has not been run. 26000: there is no such name, since a pooler has
 * changed the connection of the server; 42P05: it is taken, since somebody else has prepared it on that connection.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const OF_A_POOLER = ['26000', '42P05']
/** The table has been altered, and with it the answer: the name cannot be used on this connection any more. */
const OUTDATED = '0A000'

/** Far more than a batch takes that goes by the index. */
const SLOW_MS = 250

/** Runs prepared statements. */
export class PreparedStatements {
  #areUsable = true
  readonly #worn = new WeakSet<Connection>()
  readonly #clock: Clock

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  /**
   * Runs a statement by its name. Where names cannot be used, as behind a pooler that hands out its connections for one
   * transaction at a time, it is sent without, at once and from then on.
   *
   * @param connection outside of a transaction
   * @returns the rows, each an array
   */
  async run(connection: Connection, { name, text }: Prepared, values: unknown[]): Promise<unknown[]> {
    const unnamed = { text, values, rowMode: 'array' } as const
    if (!this.#areUsable) return (await connection.query(unnamed)).rows
    const startedAt = this.#clock.monotonic()
    try {
      return (await connection.query({ ...unnamed, name })).rows
    } catch (error) {
      const state = sqlStateOf(error) ?? ''
      if (state === OUTDATED) this.#worn.add(connection)
      else if (OF_A_POOLER.includes(state)) this.#areUsable = false
      else throw error
      return (await connection.query(unnamed)).rows
    } finally {
      if (this.#clock.monotonic() - startedAt > SLOW_MS) this.#worn.add(connection)
    }
  }

  /**
   * Whether a connection is to be closed, for what is prepared on it: it cannot be used any more, or is slow. Its plan may be
   * from when the table was small, and the server keeps it until the statistics of the table are renewed.
   */
  isWorn(connection: Connection): boolean {
    return this.#worn.has(connection)
  }
}
