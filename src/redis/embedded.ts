import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Redis } from 'ioredis'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { openRedis } from './connection.ts'
import { failed, hasExited, startServer, takeStartLock } from './server-process.ts'

/** The name of the connection of the process that owns it. */
const OWNER = 'order-expiry-owner'
const ANSWER_TIMEOUT_MS = 2_000
const STOP_TIMEOUT_MS = 8_000
const RESTART_EVERY_MS = 1_000
/** sun_path holds 108 bytes on Linux, 104 on macOS. https://man7.org/linux/man-pages/man7/unix.7.html */
const LONGEST_SOCKET_PATH = 100

interface EmbeddedRedisOptions {
  dir: string
  clock: Clock
  /** It ended without being asked to, and is started again. How it ended is known only for a child of this process. */
  onExit: (exit: { code: number | null; signal: string | null }) => void
}

/**
 * A private Redis (or Valkey) as a child process, on a Unix socket, with an append-only file: for shops without a Redis of
 * their own. If its owner is killed it lives on, and the next owner takes it over with all its data.
 */
export class EmbeddedRedis {
  readonly #options: EmbeddedRedisOptions
  readonly #dir: string
  readonly #socket: string
  #child: ChildProcess | undefined
  #owner: Redis | undefined
  #stopping = false

  constructor(options: EmbeddedRedisOptions) {
    this.#options = options
    this.#dir = resolve(options.dir)
    this.#socket = socketPath(this.#dir)
  }

  /** `unix:///path/to.sock` */
  get url(): string {
    return `unix://${this.#socket.split('/').map(encodeURIComponent).join('/')}`
  }

  /**
   * Starts it, adopts it from an owner that is gone, or joins that of another process if it may.
   *
   * @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED, or the signal's reason; then nothing is left running
   */
  async start(options: { mayJoin: boolean; signal?: AbortSignal }): Promise<'started' | 'adopted' | 'joined'> {
    const { mayJoin, signal } = options
    const [dir, socket, { clock }] = [this.#dir, this.#socket, this.#options]
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
    } catch (cause) {
      const advice = 'start in another one, or set REDIS_URL'
      throw failed(`expected ${dir} to be a writable folder: ${advice} (${String(cause)})`, cause)
    }
    // One process at a time looks and starts: two servers must never write the same files.
    const releaseLock = await takeStartLock(join(dir, 'start.lock'), { clock, signal })
    try {
      if (!(await this.#answers())) {
        this.#child = await startServer({ dir, socket, isReady: () => this.#answers(), clock, signal })
        await this.#own()
        return 'started'
      }
      const clients = await this.#ask((redis) => redis.client('LIST'))
      if (!String(clients).includes(`name=${OWNER} `)) {
        await this.#own()
        return 'adopted'
      }
      if (mayJoin) return 'joined'
    } finally {
      releaseLock()
    }
    throw failed(`expected ${dir} to be free, but another order-expiry uses it: stop that one, or set REDIS_URL`)
  }

  /** Ends it with all its data on disk, if this process owns it. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (!this.#owner) return
    this.#owner.disconnect()
    this.#owner = undefined
    const child = this.#child
    // It hangs up instead of answering.
    if (!child) await this.#ask((redis) => redis.shutdown(), STOP_TIMEOUT_MS).catch(() => {})
    else if (!hasExited(child)) {
      const work = once(child, 'exit')
      child.kill('SIGTERM')
      await withTimeout({ work, ms: STOP_TIMEOUT_MS, clock: this.#options.clock }).catch(() => child.kill('SIGKILL'))
    }
  }

  async #answers(): Promise<boolean> {
    return (await this.#ask((redis) => redis.ping()).catch(() => '')) === 'PONG'
  }

  /** Over a connection of its own. */
  async #ask<T>(command: (redis: Redis) => Promise<T>, withinMs = ANSWER_TIMEOUT_MS): Promise<T> {
    const redis = this.#connect(withinMs)
    try {
      return await command(redis)
    } finally {
      redis.disconnect()
    }
  }

  async #own(): Promise<void> {
    const owner = this.#connect(ANSWER_TIMEOUT_MS)
    owner.once('end', () => void this.#lost())
    this.#owner = owner
    await owner.client('SETNAME', OWNER).catch((cause) => {
      throw failed(`the embedded Redis did not answer: ${String(cause)}`, cause)
    })
  }

  #connect(commandTimeout: number): Redis {
    return openRedis({ profile: { path: this.#socket, commandTimeout, enableReadyCheck: false, retryStrategy: null } })
  }

  /** The owner's connection is gone, so the server has ended, whoever started it: it is started again. */
  async #lost(): Promise<void> {
    if (this.#stopping) return
    this.#options.onExit({ code: this.#child?.exitCode ?? null, signal: this.#child?.signalCode ?? null })
    this.#owner = undefined
    this.#child = undefined
    for (;;) {
      await this.#options.clock.sleep(RESTART_EVERY_MS)
      if (this.#stopping) return
      try {
        // Not joined: a command that has stepped in meanwhile will stop its server.
        await this.start({ mayJoin: false })
        if (this.#stopping) await this.stop()
        return
      } catch {
        // Tried again; whoever needs it reports that it is away.
      }
    }
  }
}

function socketPath(dir: string): string {
  const path = join(dir, 'redis.sock')
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return path
  return join(tmpdir(), `order-expiry-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}.sock`)
}
