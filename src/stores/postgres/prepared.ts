import { createHash } from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import { sqlStateOf } from './errors.ts'

/** Parsed once for each connection, and planned at most a few times. */
export interface Prepared {
  name: string
  text: string
}

interface Connection {
  query(statement: { name?: string; text: string; values: unknown[]; rowMode: 'array' }): Promise<{ rows: unknown[] }>
}

/** Named by its text: behind a pooler, processes share a server connection, and equal names must mean equal statements. */
export function prepare(what: string, text: string): Prepared {
  return { name: `order_expiry_${what}_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`, text }
}

/**
 * The statement has not been run, because a pooler has changed the server connection: the name is unknown there (26000), or
 * somebody else has taken it (42P05). https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const OF_A_POOLER = ['26000', '42P05']
/** The table has been altered, and with it the answer: this connection can no longer use the name. */
const OUTDATED = '0A000'

/** Far more than a batch that uses the index takes. */
const SLOW_STATEMENT_MS = 250

export class PreparedStatements {
  #areUsable = true
  readonly #worn = new WeakSet<Connection>()
  readonly #clock: Clock

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  /**
   * Runs a statement by its name; each row is an array. Where names cannot be used, as behind a
   * pooler in transaction mode, it is sent without, at once and from then on.
   *
   * @param restart within a transaction, which the failed attempt has ended: begins another one
   */
  async run(
    connection: Connection,
    { name, text }: Prepared,
    values: unknown[],
    restart?: () => Promise<unknown>,
  ): Promise<unknown[]> {
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
      await restart?.()
      return (await connection.query(unnamed)).rows
    } finally {
      if (this.#clock.monotonic() - startedAt > SLOW_STATEMENT_MS) this.#worn.add(connection)
    }
  }

  /** Whether to close a connection: a slow plan from when the table was small is kept until the statistics are renewed. */
  isWorn(connection: Connection): boolean {
    return this.#worn.has(connection)
  }
}
