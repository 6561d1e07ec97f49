import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../../src/index.ts'
import { DaemonProcess } from '../../helpers/daemon.ts'
import { databaseUrl } from '../../helpers/env.ts'
import { Random } from '../../helpers/random.ts'
import { FaultProxy, type Protocol } from './fault-proxy.ts'
import { KillableServer } from './killable-server.ts'
import { type Peculiarity, PostgresShop } from './postgres-shop.ts'
import { RedisShop } from './redis-shop.ts'
import type { Shop } from './shop.ts'

export interface WorldOptions {
  /** How many workers are started before the case begins. Default 2. */
  workers?: number
  /** Settings of every worker, beyond those that say where things are. */
  env?: Readonly<Record<string, string>>
  /** Who records the orders. Default: the shop itself, in PostgreSQL; `redis`: the library. */
  orders?: 'redis'
  /** A PostgreSQL of its own, for cases that break it. */
  ownPostgres?: boolean
  /** Cancelling gives stock back. */
  hasStock?: boolean
  /** What is peculiar about the tables of the shop, in PostgreSQL. */
  peculiarity?: Peculiarity
}

/** By what a request to Redis contains, what its connection is for. */
export const REDIS_MARKS = {
  /** Waits for work. */
  blocking: /bzpopmin/i,
  /** Takes work: a script of 10 to 12 keys, the first of them the wait list. BullMQ's moveToActive is one, too. */
  fetch: /\$2\r\n1[012]\r\n\$\d+\r\n[^\r]*:wait\r\n/,
  /** Records what became of a check. */
  finish: /"outcome\\?"/,
  /** Puts the job of a check back. */
  putBack: /check (?:postponed|failed)/,
  /** Brings a job. */
  add: /"orderId"/,
}
const REDIS: Protocol = { marks: REDIS_MARKS, refusal: /(?:^|\r\n)-([A-Z]+) /g }
/** The statement that cancels: by the name under which it is prepared, or the shop's own, but not where it is only explained. */
export const CANCELLING = /order_expiry_cancel_|^(?!.*EXPLAIN).*SKIP LOCKED/s
const POSTGRES: Protocol = {
  marks: { cancel: CANCELLING },
  refusal: /V(?:ERROR|FATAL|PANIC)\0C([0-9A-Z]{5})\0/g,
}

/** Everything of one case: servers, proxies, workers, a shop and its producers. Nothing is shared but PostgreSQL. */
export class World {
  static readonly #all = new Set<World>()
  readonly random: Random
  redis: KillableServer
  readonly postgres: KillableServer | undefined
  /** Between the workers and Redis. */
  readonly toRedis: FaultProxy
  /** Between the producers and Redis. */
  readonly producersToRedis: FaultProxy
  /** Between the workers and PostgreSQL. */
  readonly toPostgres: FaultProxy
  readonly shop: Shop
  readonly workers: DaemonProcess[] = []
  /** The shop's own use of the library. */
  readonly client: OrderExpiry
  /** A producer that knows only BullMQ. */
  readonly rawQueue: Queue
  /** Straight to Redis, for the case itself. */
  admin: Redis
  /** Orders that Redis has been told of and not forgotten since. The others only the sweeper can find. */
  readonly known = new Set<string>()
  /** Orders for which the library has said that it knows them. */
  readonly scheduled = new Set<string>()
  /** Workers that the case itself has ended. */
  readonly ended = new Set<DaemonProcess>()
  /** What is to be printed with the result. */
  readonly notes: string[] = []
  /** What a case has found broken by itself. */
  readonly violations: string[] = []
  readonly #ways: { toRedis: FaultProxy; toPostgres: FaultProxy }[] = []
  #clocks = 0
  readonly #rawRedis: Redis
  readonly #databaseUrl: string
  readonly #env: Readonly<Record<string, string>>
  readonly #dir = mkdtempSync(join(tmpdir(), 'order-expiry-faults-'))

  private constructor(parts: {
    seed: number
    redis: KillableServer
    postgres: KillableServer | undefined
    toRedis: FaultProxy
    producersToRedis: FaultProxy
    toPostgres: FaultProxy
    shop: Shop
    client: OrderExpiry
    databaseUrl: string
    env: Readonly<Record<string, string>>
  }) {
    this.random = new Random(parts.seed)
    this.redis = parts.redis
    this.postgres = parts.postgres
    this.toRedis = parts.toRedis
    this.producersToRedis = parts.producersToRedis
    this.toPostgres = parts.toPostgres
    this.shop = parts.shop
    this.#databaseUrl = parts.databaseUrl
    this.#env = parts.env
    this.client = parts.client
    this.#rawRedis = new Redis(this.producersToRedis.urlOf(this.redis.url), {
      maxRetriesPerRequest: 1,
      retryStrategy: () => 200,
      commandTimeout: 2_000,
    })
    this.#rawRedis.on('error', () => {})
    this.rawQueue = new Queue('check-payment', { connection: this.#rawRedis })
    this.rawQueue.on('error', () => {})
    this.admin = openAdmin(this.redis)
  }

  static async create(options: WorldOptions & { seed: number }): Promise<World> {
    const { seed, workers = 2, env = {}, orders, ownPostgres = false, ...tables } = options
    const redis = await KillableServer.redis()
    let postgres: KillableServer | undefined
    let world: World
    try {
      postgres = ownPostgres ? await KillableServer.postgres() : undefined
      const url = postgres?.url ?? databaseUrl()
      const [toRedis, producersToRedis, toPostgres] = await Promise.all([
        FaultProxy.to(redis.url, REDIS),
        FaultProxy.to(redis.url, REDIS),
        FaultProxy.to(url, POSTGRES),
      ])
      const proxies = { toRedis, producersToRedis, toPostgres }
      const client = new OrderExpiry({ redis: producersToRedis.urlOf(redis.url), ...(orders && { orders }) })
      const shop = orders
        ? new RedisShop({ redisUrl: redis.url, client })
        : await PostgresShop.open({ databaseUrl: url, hasStock: false, peculiarity: {}, ...tables })
      world = new World({ seed, redis, postgres, ...proxies, shop, client, databaseUrl: url, env })
    } catch (error) {
      await Promise.all([redis.remove(), postgres?.remove()])
      throw error
    }
    World.#all.add(world)
    try {
      await world.startWorkers(workers)
      return world
    } catch (error) {
      await world.destroy()
      throw error
    }
  }

  /** Ends every world that there is, for a process that is told to end. */
  static async destroyAll(): Promise<void> {
    await Promise.all([...World.#all].map((world) => world.destroy()))
  }

  /** Starts workers and waits until they are ready. */
  async startWorkers(count: number, env: Readonly<Record<string, string>> = {}): Promise<DaemonProcess[]> {
    const started = Array.from({ length: count }, () => this.launchWorker(env))
    await Promise.all(started.map((worker) => worker.until(({ msg }) => msg === 'ready', 60_000)))
    return started
  }

  /** Starts a worker without waiting for it. */
  launchWorker(env: Readonly<Record<string, string>> = {}): DaemonProcess {
    const worker = new DaemonProcess({ ...this.workerEnv(), ...env }, { letsStrayPass: true })
    this.workers.push(worker)
    return worker
  }

  /** The settings of every worker. */
  workerEnv(): Record<string, string> {
    return {
      REDIS_URL: this.toRedis.urlOf(this.redis.url),
      ...this.shop.env(this.toPostgres.urlOf(this.#databaseUrl)),
      ...this.#env,
    }
  }

  /** Proxies for one worker alone, and the settings that lead it there. */
  async ownWay(): Promise<{ env: Record<string, string>; toRedis: FaultProxy; toPostgres: FaultProxy }> {
    const toRedis = await FaultProxy.to(this.redis.url, REDIS)
    const toPostgres = await FaultProxy.to(this.#databaseUrl, POSTGRES)
    this.#ways.push({ toRedis, toPostgres })
    const env = { REDIS_URL: toRedis.urlOf(this.redis.url), ...this.shop.env(toPostgres.urlOf(this.#databaseUrl)) }
    return { env, toRedis, toPostgres }
  }

  /** For cases that do something to its tables. */
  get postgresShop(): PostgresShop {
    if (this.shop instanceof PostgresShop) return this.shop
    throw new Error('expected the orders to be in PostgreSQL')
  }

  worker(index: number): DaemonProcess {
    return this.workers[index] as DaemonProcess
  }

  /** Notes a promise that is not kept. */
  expect(isKept: boolean, promise: string): void {
    if (!isKept) this.violations.push(promise)
  }

  get living(): DaemonProcess[] {
    return this.workers.filter(({ hasExited }) => !hasExited)
  }

  /** How many workers have fetched from the queue since then: each does so on one connection, once a second if idle. */
  countFetching(since: number): number {
    return this.#workersWays.reduce((sum, { toRedis }) => sum + toRedis.countSince('fetch', since), 0)
  }

  /** Jobs that a worker could take by then: those in the wait list, and delayed ones. */
  async countJobsDue(before: number): Promise<number> {
    const dueBefore = before * 0x1000 // the score of a delayed job has its time in the upper bits
    const [waiting, due] = await Promise.all([
      this.admin.llen('bull:check-payment:wait'),
      this.admin.zcount('bull:check-payment:delayed', '-inf', dueBefore),
    ])
    return waiting + due
  }

  /** Whether a worker has been sent this refusal: an SQLSTATE, or the first word of an error of Redis. */
  hasMet(code: string): boolean {
    return this.#workersWays.some(
      ({ toRedis, toPostgres }) => toRedis.refusals.has(code) || toPostgres.refusals.has(code),
    )
  }

  /** What the probes of each worker say: during an outage it lives, but is not ready. */
  async expectAliveAndNotReady(): Promise<void> {
    for (const worker of this.workers) {
      const url = await worker.url()
      const [live, ready] = await Promise.all(['/livez', '/readyz'].map((path) => fetch(url + path)))
      this.expect(live?.status === 200, `I7: /livez says ${live?.status}`)
      this.expect(ready?.status === 503, `I7: /readyz says ${ready?.status}`)
    }
  }

  /** Ends a worker at once. */
  async kill(worker: DaemonProcess): Promise<void> {
    this.ended.add(worker)
    await worker.stop('SIGKILL')
  }

  /** Settings for a worker whose clock the case can set, and whose event loop it can block. */
  skewedClock(): { env: Record<string, string>; setClock: (offsetMs: number) => void } {
    const file = join(this.#dir, `clock-${this.#clocks++}`)
    const setClock = (offsetMs: number) => writeFileSync(file, `${offsetMs}`)
    setClock(0)
    const preload = pathToFileURL(resolve('test/faults/harness/skewed-clock.mjs'))
    return { env: { NODE_OPTIONS: `--import ${preload}`, FAULT_CLOCK_FILE: file }, setClock }
  }

  async countJobs(...states: ('failed' | 'active' | 'delayed' | 'wait' | 'completed')[]): Promise<number> {
    const names = { failed: 'zcard', active: 'llen', delayed: 'zcard', wait: 'llen', completed: 'zcard' } as const
    const counts = await Promise.all(states.map((state) => this.admin[names[state]](`bull:check-payment:${state}`)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** The orders of the jobs that have failed for good; without a name where a job cannot be read. */
  async failedOrders(): Promise<string[]> {
    const ids = await this.admin.zrange('bull:check-payment:failed', '0', '-1')
    const texts = await Promise.all(ids.map((id) => this.admin.hget(`bull:check-payment:${id}`, 'data')))
    return texts.map((text) => /"orderId":"([^"]*)"/.exec(text ?? '')?.[1] ?? '')
  }

  /** Kills Redis and leads everybody to the replica, which knows what has reached it. */
  async failOver(replica: KillableServer): Promise<void> {
    const [former, formerAdmin] = [this.redis, this.admin]
    await former.die('SIGKILL')
    this.redis = replica
    this.admin = openAdmin(replica)
    formerAdmin.disconnect()
    for (const proxy of this.#redisProxies) {
      proxy.leadTo(replica.url)
      for (const connection of proxy.connections) connection.cut()
    }
    await this.admin.replicaof('NO', 'ONE')
    await former.remove()
  }

  /** Neither workers nor producers reach Redis, and are told so. */
  cutRedis(): void {
    this.toRedis.cut()
    this.producersToRedis.cut()
  }

  /** Heals what the proxies do. */
  heal(): void {
    for (const proxy of this.#proxies) proxy.heal()
  }

  get #workersWays(): { toRedis: FaultProxy; toPostgres: FaultProxy }[] {
    return [this, ...this.#ways]
  }

  get #redisProxies(): FaultProxy[] {
    return [this.producersToRedis, ...this.#workersWays.map(({ toRedis }) => toRedis)]
  }

  get #proxies(): FaultProxy[] {
    return [...this.#redisProxies, ...this.#workersWays.map(({ toPostgres }) => toPostgres)]
  }

  /** Ends everything, in whatever state it is; what fails does not keep the rest from being ended. */
  async destroy(): Promise<void> {
    World.#all.delete(this)
    const steps: (() => unknown)[] = [
      () => Promise.all(this.workers.map((worker) => worker.stop('SIGKILL'))),
      () => [this.redis, this.postgres].map((server) => server?.thaw()),
      () => this.client.close(),
      () => void this.rawQueue.close().catch(() => {}),
      () => [this.#rawRedis, this.admin].map((redis) => redis.disconnect()),
      () => Promise.all(this.#proxies.map((proxy) => proxy.close())),
      () => this.shop.close(),
      () => this.redis.remove(),
      () => this.postgres?.remove(),
      () => rmSync(this.#dir, { recursive: true, force: true }),
    ]
    const errors: unknown[] = []
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'a world could not be ended in an orderly way')
  }
}

/** Straight to the server. */
function openAdmin(redis: KillableServer): Redis {
  const admin = new Redis(redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 100 })
  admin.on('error', () => {})
  return admin
}

/** Resident memory of a process, in megabytes. */
export function residentMb(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
  return (pages * 4_096) / 2 ** 20
}
