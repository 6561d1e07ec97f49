import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import pg from 'pg'
import { eventually } from '../../helpers/eventually.ts'
import { end, freePort, postgresBinaries, unprivileged, untilConnected } from '../../helpers/processes.ts'

const run = promisify(execFile)

/** A server that can die, freeze, and come back at the same place with what it had on disk. */
export class KillableServer {
  readonly url: string
  readonly port: number
  readonly #dir: string
  readonly #spawn: () => ChildProcess
  readonly #ping: () => Promise<void>
  #child: ChildProcess | undefined

  private constructor(options: {
    url: string
    port: number
    dir: string
    spawn: () => ChildProcess
    /** Rejects while it accepts connections but cannot serve them yet. */
    ping?: () => Promise<void>
  }) {
    this.url = options.url
    this.port = options.port
    this.#dir = options.dir
    this.#spawn = options.spawn
    this.#ping = options.ping ?? (async () => {})
  }

  /** A Redis with an append-only file, written to disk every second as in production. */
  static async redis(): Promise<KillableServer> {
    const port = await freePort()
    const dir = mkdtempSync(join(tmpdir(), 'order-expiry-faults-redis-'))
    const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes']
    const server = new KillableServer({
      url: `redis://127.0.0.1:${port}`,
      port,
      dir,
      spawn: () => spawn('redis-server', args, { stdio: 'ignore' }),
    })
    await server.start()
    return server
  }

  /** A PostgreSQL cluster of its own. Only its processes die, never the machine, so it need not wait for the disk. */
  static async postgres(): Promise<KillableServer> {
    const port = await freePort()
    const bin = postgresBinaries()
    const dir = mkdtempSync(join(tmpdir(), 'order-expiry-faults-postgres-'))
    chmodSync(dir, 0o777)
    const data = join(dir, 'data')
    const options = { ...unprivileged(), cwd: dir, stdio: 'ignore' } as const
    // Never synchronously: every proxy of every case is in this process, and would stand still.
    await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'], {
      ...unprivileged(),
      cwd: dir,
    })
    const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${dir}`, 'fsync=off', 'max_connections=60']
    const args = ['-D', data, '-p', `${port}`, ...settings.flatMap((setting) => ['-c', setting])]
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`
    const server = new KillableServer({
      url,
      port,
      dir,
      spawn: () => spawn(join(bin, 'postgres'), args, options),
      async ping() {
        const client = new pg.Client({ connectionString: url })
        client.on('error', () => {})
        await client.connect()
        await client.end()
      },
    })
    await server.start()
    return server
  }

  /** Starts it, or starts it again, from its files. Resolves when it serves. */
  async start(): Promise<void> {
    this.#child = this.#spawn()
    await untilConnected(this.port, this.#child)
    await eventually(`${this.url} serves`, () =>
      this.#ping()
        .then(() => true)
        .catch(() => false),
    )
  }

  /** Of a Redis: a connection for as long as the work takes. */
  async ask<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(this.url)
    try {
      return await work(redis)
    } finally {
      redis.disconnect()
    }
  }

  get pid(): number {
    return this.#child?.pid as number
  }

  /** Ends it at once, by this signal. Resolves when it is gone. */
  async die(signal: 'SIGKILL' | 'SIGQUIT'): Promise<void> {
    const child = this.#child
    if (!child || !this.#isAlive) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  /** Stops it in the middle of whatever it is doing; its connections stay. */
  freeze(): void {
    this.#signal('SIGSTOP')
  }

  /** Lets it go on; harmless if it is not frozen, or gone. */
  thaw(): void {
    this.#signal('SIGCONT')
  }

  /** Ends it and removes its files, in whatever state it is. */
  async remove(): Promise<void> {
    if (this.#child && this.#isAlive) {
      this.thaw()
      await end(this.#child, 'SIGINT') // for PostgreSQL a fast shutdown, for Redis an orderly one
    }
    await rm(this.#dir, { recursive: true, force: true })
  }

  get #isAlive(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }

  /** To it and to its children: PostgreSQL has a process for each connection. */
  #signal(signal: NodeJS.Signals): void {
    if (!this.#isAlive) return
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8')
    for (const pid of [this.pid, ...children.split(' ').filter(Boolean).map(Number)]) {
      try {
        process.kill(pid, signal)
      } catch {
        // A backend that has ended since.
      }
    }
  }
}
