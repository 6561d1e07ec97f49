import { createHash } from 'node:crypto'
import { systemClock } from '../runtime/clock.ts'
import { sqlStateOf } from './postgres-errors.ts'

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
 * What says that a name cannot be used now. The statement itself has not been run.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNUSABLE = {
  /** No such name: a pooler has changed the connection of the server. */
  unknown: '26000',
  /** The name is taken: a pooler has given us a connection that somebody else has prepared it on. */
  taken: '42P05',
  /** The table has been altered, and with it the answer. */
  outdated: '0A000',
}

/** Ten times what the largest batch takes on a slow machine. */
const SLOW_MS = 1_000

/** Runs prepared statements. */
export class PreparedStatements {
  #areUsable = true
  readonly #worn = new WeakSet<Connection>()

  /**
   * Runs a statement by its name. Where names cannot be used, as behind a pooler that hands out its connections for one
   * transaction at a time, it is sent without, at once and from then on.
   *
   * @param connection outside of a transaction
   * @returns the rows, each an array
   */
  async run(connection: Connection, { name, text }: Prepared, values: unknown[]): Promise<unknown[]> {
    const unnamed = { text, values, rowMode: 'array' } as const
    const startedAt = systemClock.monotonic()
    try {
      const { rows } = await connection.query(this.#areUsable ? { ...unnamed, name } : unnamed)
      return rows
    } catch (error) {
      const state = sqlStateOf(error)
      if (!this.#areUsable && state !== UNUSABLE.outdated) throw error
      if (state === UNUSABLE.outdated) this.#worn.add(connection)
      else if (state === UNUSABLE.unknown || state === UNUSABLE.taken) this.#areUsable = false
      else throw error
      return (await connection.query(unnamed)).rows
    } finally {
      if (systemClock.monotonic() - startedAt > SLOW_MS) this.#worn.add(connection)
    }
  }

  /**
   * Whether a connection should be closed: what is prepared on it has become unusable, or slow. Its plan may be one for a
   * table that was small then, and is kept until the table's statistics are renewed.
   */
  isWorn(connection: Connection): boolean {
    return this.#worn.has(connection)
  }
}
