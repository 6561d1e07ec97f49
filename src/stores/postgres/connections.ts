import type pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import { systemClock } from '../../runtime/clock.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { type Prepared, PreparedStatements } from './prepared.ts'

/** How a transaction is to end, and what it has found. */
interface Ending<T> {
  end: 'COMMIT' | 'ROLLBACK'
  value: T
}

/** The connections of a store, and how statements are sent over them. Everything rejects with STORE_* errors. */
export class Connections {
  readonly #pool: pg.Pool
  readonly #access: 'read' | undefined
  readonly #prepared = new PreparedStatements({ clock: systemClock })

  /** @param options.access `read`: each transaction can write nothing */
  constructor({ pool, access }: { pool: pg.Pool; access?: 'read' | undefined }) {
    this.#pool = pool
    this.#access = access
  }

  async with<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (!this.#access) return this.#with(work)
    return this.transaction('BEGIN', async (client) => ({ end: 'ROLLBACK', value: await work(client) }))
  }

  async #with<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient | undefined
    let broken = false
    try {
      client = await this.#pool.connect()
      return await work(client)
    } catch (error) {
      broken = sqlStateOf(error) === undefined
      throw asStoreError(error)
    } finally {
      client?.release(broken || this.#prepared.isWorn(client))
    }
  }

  /** The rows of a statement with a name, as arrays. */
  async run(statement: Prepared, values: unknown[]): Promise<unknown[]> {
    const restart = (client: pg.PoolClient) => this.#access && (() => client.query('ROLLBACK; BEGIN READ ONLY'))
    return this.with((client) => this.#prepared.run(client, statement, values, restart(client)))
  }

  /** {@link run} as the first statement of a transaction. */
  async runWithin(client: pg.PoolClient, statement: Prepared, values: unknown[]): Promise<unknown[]> {
    return this.#prepared.run(client, statement, values, () => client.query('ROLLBACK; BEGIN'))
  }

  async transaction<T>(begin: string, work: (client: pg.PoolClient) => Promise<Ending<T>>): Promise<T> {
    return this.#with(async (client) => {
      await client.query(this.#access ? begin.replace(/^BEGIN( READ ONLY)?/, 'BEGIN READ ONLY') : begin)
      try {
        const { end, value } = await work(client)
        await client.query(end)
        return value
      } catch (error) {
        // What has not answered in time would not answer this either: the connection is dropped.
        if (sqlStateOf(error)) await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  async close(): Promise<void> {
    await this.#pool.end().catch(() => {})
  }
}

/** The result of what only reads: an error in it is not about an order, whatever its SQLSTATE. */
export async function reading<T>(result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (error) {
    if (!(error instanceof OrderExpiryError && error.code === 'STORE_REJECTED')) throw error
    throw new OrderExpiryError('STORE_MISMATCH', error.message, { cause: error })
  }
}
