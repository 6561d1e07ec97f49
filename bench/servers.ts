import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { freePort, postgresBinaries, startRedis, unprivileged, untilConnected } from '../test/helpers/processes.ts'
import { killOnExit } from './kill-on-exit.ts'
import { ORDERS_SQL } from './orders-table.ts'

/** A Redis and a PostgreSQL of the bench's own, untuned, on loopback. */
export interface Servers {
  redisUrl: string
  redisPid: number
  databaseUrl: string
  postgresPid: number
  /** Empties both: FLUSHALL, and the tables made anew. */
  reset(): Promise<void>
  stop(): Promise<void>
}

/** What differs from the defaults of the packages, for the report. */
export const SERVER_SETTINGS = {
  redis: "save '' (no snapshots), appendonly no; all else default, including hz 10",
  postgres: 'all default, including fsync on, synchronous_commit on, shared_buffers 128 MB; locale C',
}

const DATABASE = 'bench'
const START_ATTEMPTS = 200
const START_WAIT_MS = 50

/** Both, with empty tables. They end with this process, however it ends, short of SIGKILL. */
export async function startServers(): Promise<Servers> {
  const redis = await startRedis()
  const letRedisLive = killOnExit(redis.pid)
  const postgres = await startPostgres()
  const client = new Redis(redis.url)
  const admin = new pg.Pool({ connectionString: postgres.url('postgres'), max: 1 })
  admin.on('error', () => {}) // it is stopped at once
  const servers: Servers = {
    redisUrl: redis.url,
    redisPid: redis.pid,
    databaseUrl: postgres.url(DATABASE),
    postgresPid: postgres.child.pid as number,
    async reset() {
      await client.config('SET', 'notify-keyspace-events', '')
      await client.flushall()
      await admin.query(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`)
      await admin.query(`CREATE DATABASE ${DATABASE}`)
      const database = new pg.Client({ connectionString: servers.databaseUrl })
      await database.connect()
      await database.query(ORDERS_SQL)
      await database.end()
    },
    async stop() {
      client.disconnect()
      await admin.end().catch(() => {})
      await Promise.all([redis.stop(), postgres.stop()])
      letRedisLive()
    },
  }
  await untilAnswers(admin)
  await servers.reset()
  return servers
}

/** PostgreSQL accepts connections before it answers. */
async function untilAnswers(database: pg.Pool): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await database.query('SELECT 1')
      return
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, START_WAIT_MS))
    }
  }
}

async function startPostgres(): Promise<{
  child: ChildProcess
  url(database: string): string
  stop(): Promise<void>
}> {
  const port = await freePort()
  const bin = postgresBinaries()
  const identity = unprivileged()
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-bench-'))
  const data = join(dir, 'data')
  chmodSync(dir, 0o777)
  const options = { ...identity, cwd: dir, stdio: 'ignore' } as const
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'], options)
  const where = ['-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${dir}`]
  const child = spawn(join(bin, 'postgres'), ['-D', data, '-p', `${port}`, ...where], options)
  const exited = once(child, 'exit')
  const letLive = killOnExit(child.pid as number, 'SIGQUIT') // on SIGKILL its own children would live on
  await untilConnected(port, child)
  return {
    child,
    url: (database) => `postgres://postgres@127.0.0.1:${port}/${database}`,
    async stop() {
      child.kill('SIGQUIT') // at once: nothing of it is kept
      await exited
      letLive()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
