import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import type pg from 'pg'
import { tlsOptions } from '../../runtime/certificates.ts'
import { type PostgresAddress, parsePostgresAddress } from './address.ts'
import { sqlStateOf } from './errors.ts'
import type { PostgresSettings } from './settings.ts'
import { tlsFilesOf } from './tls-files.ts'

/** A server, and how to connect to it. */
interface Way {
  host: string | undefined
  port: number | undefined
  ssl: pg.ClientConfig['ssl']
}

interface Place {
  host: string
  port: number
  database: string
  isEncrypted: boolean
  isVerified: boolean
  /** In its certificate, if it is not the host. */
  servername: string | undefined
}

/** What the driver makes of its options and of PGHOST and its like, which its types know in part only. */
interface PlaceOfDriver {
  host: string
  port: number
  database: string
  ssl: boolean | { rejectUnauthorized?: boolean; servername?: string }
}

type Bounds = Readonly<Record<string, string>>

/**
 * How the driver reaches the database: one way after the other until one works, as libpq does, beginning with the host that worked last, and there
 * with TLS if sslmode prefers it.
 */
export class Ways {
  readonly address: PostgresAddress
  /** What each session is to have: by its start-up parameters or, where these do not work, in each transaction. */
  readonly bounds: Bounds
  readonly needsWrites: boolean
  readonly #ways: readonly Way[]
  readonly #asDriver: (config: pg.ClientConfig) => unknown
  readonly #onUnbounded: (why: string) => void
  #current = 0
  /** How often another way was taken. */
  turns = 0
  #reached: Way | undefined
  /** Attempts that have failed and go on another way. */
  #retrying = 0
  takesParameters = true
  /** Why statements get their bounds in transactions of their own; undefined if they do not. */
  whyUnbounded: string | undefined

  /**
   * @param options.asDriver a connection that is not made, which shows what the driver takes from PGHOST and its like
   * @param options.onUnbounded told once that start-up parameters are refused or without effect, and why
   */
  constructor(options: {
    settings: PostgresSettings
    bounds: Bounds
    asDriver: (config: pg.ClientConfig) => unknown
    onUnbounded: (why: string) => void
  }) {
    const { settings, bounds, asDriver, onUnbounded } = options
    this.address = parsePostgresAddress(settings.DATABASE_URL as string) // the settings are refused without it
    const { hosts, schemas, needsWrites } = this.address
    this.bounds = { ...bounds, ...(schemas && { search_path: schemas }) }
    this.needsWrites = needsWrites || hosts.length > 1
    this.#asDriver = asDriver
    this.#onUnbounded = onUnbounded
    const modes = sslModes(this.address, settings)
    this.#ways = hosts.flatMap(({ host, port }) =>
      (host?.startsWith('/') ? [false] : modes).map((ssl) => ({ host, port, ssl })),
    )
  }

  get count(): number {
    return this.#ways.length
  }

  /** What the next connection is made with. */
  config(way = this.current()): pg.ClientConfig {
    const { user, password, database, driver } = this.address
    const { search_path: searchPath, ...timeouts } = this.takesParameters ? this.bounds : {}
    const path = searchPath && `-c search_path=${searchPath.replace(/[\\\s]/g, '\\$&')}`
    const options = [driver.options, path].filter(Boolean).join(' ')
    const given = { application_name: 'order-expiry', ...driver, ...timeouts, ...way, user, password, database }
    const known = Object.entries({ ...given, ...(options && { options }) }).filter(([, value]) => value !== undefined)
    return Object.fromEntries(known)
  }

  /** Where the last connection went, or else where the next one goes, as the driver sees it, and how it is protected. */
  reached(): Place {
    const { host, port, database, ssl } = this.#asDriver(this.config(this.#reached)) as PlaceOfDriver
    const { rejectUnauthorized, servername } =
      typeof ssl === 'object' ? ssl : ({} as Exclude<PlaceOfDriver['ssl'], boolean>)
    const isVerified = rejectUnauthorized !== false
    return { host, port, database, isEncrypted: ssl !== false, isVerified, servername }
  }

  /** For people: `db.internal:5432/shop`, or the path of the socket. */
  describe(): string {
    const { host, port, database } = this.reached()
    return host.startsWith('/') ? `${host}/.s.PGSQL.${port}, database ${database}` : `${host}:${port}/${database}`
  }

  /** All hosts, in the order in which they are tried. */
  describeAll(): string {
    const { hosts } = this.address
    const places = hosts.map(({ host, port = 5432 }) => (host?.startsWith('/') ? host : `${host}:${port}`))
    return hosts.length > 1 ? `${places.join(' and ')}/${this.reached().database}` : this.describe()
  }

  current(): Way {
    return this.#ways[this.#current] as Way
  }

  /** It has failed: the next connection goes another way, or without parameters. */
  leave(way: Way, error: unknown): void {
    if (isParameterRefusal(error)) {
      this.takesParameters = false
      this.noticeUnbounded((error as Error).message)
    } else if (this.current() === way && this.count > 1) {
      this.#current = (this.#current + 1) % this.count
      this.turns++
    }
  }

  arrive(way: Way): void {
    this.#reached = way
  }

  beginRetry(): void {
    this.#retrying++
  }

  /** The next connection begins with the first way to its host, unless another attempt is still on its way down the list. */
  endRetry(): void {
    if (--this.#retrying > 0) return
    const { host, port } = this.current()
    this.#current = this.#ways.findIndex((way) => way.host === host && way.port === port)
  }

  noticeUnbounded(why: string): void {
    if (!this.whyUnbounded) this.#onUnbounded(why)
    this.whyUnbounded ??= why
  }
}

/**
 * Poolers know few start-up parameters, and refuse the rest: PgBouncer with 08P01, RDS Proxy with 0A000. Other errors with these codes say nothing
 * of a parameter.
 */
function isParameterRefusal(error: unknown): boolean {
  const state = sqlStateOf(error) ?? ''
  return ['08P01', '0A000', '42704', '22023'].includes(state) && /parameter|option/i.test((error as Error).message)
}

/** Each is tried after the one before has failed. The driver looks at PGSSLMODE where nothing is said. */
function sslModes(address: PostgresAddress, settings: PostgresSettings): pg.ClientConfig['ssl'][] {
  const { DATABASE_TLS_SERVERNAME: servername } = settings
  const files = tlsFilesOf(address, settings)
  const hasFiles = Object.values(files).some(Boolean)
  const mode = address.sslmode ?? (hasFiles || servername ? 'verify-full' : undefined)
  if (mode === undefined) return [undefined]
  if (mode === 'disable') return [false]
  const read = hasFiles ? Object.getOwnPropertyDescriptors(tlsOptions(files)) : {}
  const ssl = (more: object) => Object.defineProperties({ ...more }, read as PropertyDescriptorMap)
  const unverified = ssl({ rejectUnauthorized: false })
  if (mode === 'no-verify') return [unverified]
  if (mode === 'allow') return [false, unverified]
  if (mode === 'prefer') return [unverified, false]
  if (mode === 'verify-ca' && files.ca) return [ssl({ checkServerIdentity: () => undefined })]
  const isNamed = (_: string, certificate: PeerCertificate) => checkServerIdentity(servername as string, certificate)
  return [ssl(servername ? { servername, checkServerIdentity: isNamed } : {})]
}
