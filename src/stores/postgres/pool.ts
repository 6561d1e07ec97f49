import pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import { asConnectError, asStoreError, sqlStateOf } from './errors.ts'
import { quoteLiteral } from './quoting.ts'
import type { PostgresStoreOptions } from './settings.ts'
import { Ways } from './ways.ts'

const BOUNDS = {
  statement_timeout: '10000ms',
  idle_in_transaction_session_timeout: '10000ms',
  /** For locks that SKIP LOCKED does not skip: a trigger's, the stock row's, a migration's. A batch waits no longer. */
  lock_timeout: '200ms',
}
const TIMEOUTS = {
  /** Longer than the server's own time-out, for a server that is gone or frozen. */
  query_timeout: 12_000,
  /** Plans of prepared statements live as long as their connection, and must keep up with a growing table. */
  maxLifetimeSeconds: 60,
}
const CONNECT_TIMEOUT_MS = 5_000

/**
 * @param options.isPatient statements may take, and wait, as long as they need, as those that build an index
 * @param options.ways those of another pool to the same database, with what has been learnt of them
 */
type PoolOptions = Pick<PostgresStoreOptions, 'settings' | 'connections' | 'onError' | 'onNotice'> & {
  isPatient?: boolean
  ways?: Ways
}

/** A pool that goes the next way to the database when one fails. */
class StorePool extends pg.Pool {
  readonly ways: Ways

  constructor(options: pg.PoolConfig & { ways: Ways }) {
    super({ ...options, Client: BoundedClient as unknown as NonNullable<pg.PoolConfig['Client']> })
    this.ways = options.ways
  }

  override connect(): Promise<pg.PoolClient>
  override connect(callback: ConnectCallback): void
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const connected = this.#connect()
    if (!callback) return connected
    connected.then(
      (client) => callback(undefined, client, client.release),
      (error) => callback(error, undefined, () => {}),
    )
    return undefined
  }

  async #connect(): Promise<pg.PoolClient> {
    const errors: unknown[] = []
    try {
      for (;;) {
        const { turns, takesParameters } = this.ways
        try {
          return await super.connect()
        } catch (error) {
          if (takesParameters && !this.ways.takesParameters) continue
          if (errors.push(error) === 1) this.ways.beginRetry()
          if (turns === this.ways.turns || errors.length >= this.ways.count) throw asConnectError(mostTelling(errors))
        }
      }
    } finally {
      if (errors.length > 0) this.ways.endRetry()
    }
  }
}

type ConnectCallback = Parameters<pg.Pool['connect']>[0]

/** What a server has said before what the network has. */
function mostTelling(errors: readonly unknown[]): unknown {
  const rank = (error: unknown) => ['STORE_UNAVAILABLE', 'STORE_READ_ONLY'].indexOf(asStoreError(error).code)
  return errors.find((error) => rank(error) === -1) ?? errors.find((error) => rank(error) === 1) ?? errors[0]
}

/** Connections on which nothing waits for ever, and which report their errors instead of ending the process. */
export function createPool({ settings, connections, onError, onNotice, isPatient, ways }: PoolOptions): StorePool {
  const onUnbounded = (why: string) => onNotice?.(unboundedNotice(why))
  const asDriver = (config: pg.ClientConfig) => new pg.Client(config)
  const bounds = isPatient ? {} : BOUNDS
  const pool = new StorePool({
    ways: ways ?? new Ways({ settings, bounds, asDriver, onUnbounded }),
    max: connections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...(!isPatient && TIMEOUTS),
    keepAlive: true,
  })
  pool.on('error', onError)
  return pool
}

function unboundedNotice(why: string): string {
  return `what is between here and PostgreSQL keeps time-outs from the sessions (${why}): each statement gets them in a transaction of its own, which works but costs two round trips more (docs/postgres.md)`
}

/** Hands a pool to `work`; if that fails, the pool is ended. @throws {OrderExpiryError} STORE_* */
export async function withPool<T>(options: PoolOptions, work: (pool: StorePool) => Promise<T>): Promise<T> {
  const pool = createPool(options)
  try {
    return await work(pool)
  } catch (error) {
    void pool.end().catch(() => {})
    throw asStoreError(error)
  }
}

/** What a transaction of ours begins with. */
const BEGIN = /^(ROLLBACK; )?BEGIN[^;]*/

/** A connection made by the current way, whose every statement is bounded. The pool makes them. */
class BoundedClient extends pg.Client {
  readonly #ways: Ways
  readonly #way: ReturnType<Ways['current']>

  constructor(options: pg.ClientConfig & { ways: Ways }) {
    super({ ...options, ...options.ways.config() })
    // The pool listens to idle clients only. One whose connection is lost while it is in use, or looks at itself, is dropped.
    this.on('error', () => {})
    this.#ways = options.ways
    this.#way = options.ways.current()
  }

  override connect(): Promise<pg.Client>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
    const connected = this.#connect()
    if (!callback) return connected
    connected.then(() => (callback as () => void)(), callback)
    return undefined
  }

  async #connect(): Promise<pg.Client> {
    try {
      await super.connect()
      await this.#look()
      this.#ways.arrive(this.#way)
      return this
    } catch (error) {
      this.#ways.leave(this.#way, error)
      void this.end().catch(() => {})
      throw error
    }
  }

  /** Whether the server takes writes, where several are asked, and whether start-up parameters have reached the session. */
  async #look(): Promise<void> {
    const { bounds, needsWrites } = this.#ways
    const isBounded = Object.entries(bounds).map(([name, value]) => isAtMost(name, value))
    if (!needsWrites && isBounded.length === 0) return
    const isReadOnly = needsWrites ? "pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'" : 'false'
    const sql = `SELECT ${isReadOnly} AS "isReadOnly", ${isBounded.join(' AND ') || 'true'} AS "isBounded"`
    const found = (await this.query<{ isReadOnly: boolean; isBounded: boolean }>(sql)).rows[0]
    if (found?.isReadOnly) {
      const message = `PostgreSQL at ${this.host}:${this.port} takes no writes: it is a standby, or set to read only`
      throw new OrderExpiryError('STORE_READ_ONLY', message)
    }
    if (found?.isBounded) return
    this.#boundEach()
    this.#ways.noticeUnbounded('start-up parameters have no effect')
  }

  /** From now on each statement is in a transaction that begins with the bounds. A session's own would outlive us behind a pooler. */
  #boundEach(): void {
    const bounds = Object.entries(this.#ways.bounds)
    const set = bounds.map(([name, value]) => `SET LOCAL ${name} = ${settingSql(name, value)}`).join('; ')
    const send = (...statement: unknown[]) =>
      Reflect.apply(pg.Client.prototype.query, this, statement) as Promise<pg.QueryResult>
    const bounded = async (...statement: unknown[]) => {
      const [first] = statement
      if (typeof first === 'string' && BEGIN.test(first))
        return send(first.replace(BEGIN, (begin) => `${begin}; ${set}`))
      if (this.getTransactionStatus() !== 'I') return send(...statement)
      await send(`BEGIN; ${set}`)
      try {
        const result = await send(...statement)
        await send('COMMIT')
        return result
      } catch (error) {
        if (sqlStateOf(error)) await send('ROLLBACK').catch(() => {})
        throw error
      }
    }
    const bySignature = (...statement: unknown[]) => {
      const callback = statement.at(-1)
      if (typeof callback !== 'function') return bounded(...statement)
      const result = bounded(...statement.slice(0, -1))
      return void result.then(
        (found) => callback(null, found),
        (error) => callback(error),
      )
    }
    this.query = bySignature as typeof this.query
  }
}

function settingSql(name: string, value: string): string {
  return name === 'search_path' ? value : quoteLiteral(value)
}

/** SQL that is true if the setting has this value; a time-out, also if it is shorter. */
function isAtMost(name: string, value: string): string {
  const setting = `current_setting('${name}')`
  if (!name.endsWith('_timeout')) return `${setting} = ${quoteLiteral(value)}`
  return `${setting}::interval > '0' AND ${setting}::interval <= '${value}'`
}
