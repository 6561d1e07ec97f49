import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import type { Redis } from 'ioredis'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { openRedis } from './connection.ts'
import { failed, findSocket, isOurSocket, openDataFolder, placeSocket } from './data-folder.ts'
import { redisErrorCode } from './reply.ts'
import { hasExited, startServer, takeStartLock } from './server-process.ts'

/** The name of the connection of the process that owns it. */
const OWNER = 'order-expiry-owner'
const ANSWER_TIMEOUT_MS = 2_000
const STOP_TIMEOUT_MS = 8_000
const RESTART_EVERY_MS = 1_000
const LOOK_AT_END_EVERY_MS = 20

interface EmbeddedRedisOptions {
  dir: string
  clock: Clock
  /** It ended without being asked to, and is started again. How it ended is known only for a child of this process. */
  onExit: (exit: { code: number | null; signal: string | null }) => void
}

/**
 * A private Redis (or Valkey) as a child process, on a Unix socket, with an append-only file: for shops without a Redis of
 * their own. However its owner ends, it ends too, with all its data on disk, and the next one begins with it.
 */
export class EmbeddedRedis {
  readonly #options: EmbeddedRedisOptions
  readonly #dir: string
  readonly #socket: string
  #child: ChildProcess | undefined
  #owner: Redis | undefined
  #stopping = false

  /** @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED where no socket can be placed */
  constructor(options: EmbeddedRedisOptions) {
    this.#options = options
    this.#dir = resolve(options.dir)
    this.#socket = placeSocket(this.#dir)
  }

  /** The URL of the one that another process of this user keeps in a folder; undefined: there is none. */
  static async find(dir: string): Promise<string | undefined> {
    const socket = findSocket(resolve(dir))
    return socket && (await stateAt(socket)) ? urlOf(socket) : undefined
  }

  /** `unix:///path/to.sock` */
  get url(): string {
    return urlOf(this.#socket)
  }

  /** Starts it. @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED, or the signal's reason; then nothing is left running */
  async start({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const [dir, socket, { clock }] = [this.#dir, this.#socket, this.#options]
    openDataFolder(dir)
    // One process at a time looks and starts: two servers must never write the same files.
    const releaseLock = await takeStartLock(join(dir, 'start.lock'), { clock, signal })
    try {
      if (await stateAt(socket)) await this.#endOrphan()
      const isReady = async () => (await stateAt(socket)) === 'ready'
      this.#child = await startServer({ dir, socket, isReady, clock, signal })
      await this.#own()
    } finally {
      releaseLock()
    }
  }

  /** Ends it with all its data on disk, if this process owns it. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#owner?.disconnect()
    this.#owner = undefined
    const child = this.#child
    if (!child || hasExited(child)) return
    const work = once(child, 'exit')
    child.kill('SIGTERM')
    await withTimeout({ work, ms: STOP_TIMEOUT_MS, clock: this.#options.clock }).catch(() => child.kill('SIGKILL'))
  }

  /** One without an owner has not yet noticed that it is gone. */
  async #endOrphan(): Promise<void> {
    const { clock } = this.#options
    const clients = await ask(this.#socket, (redis) => redis.client('LIST'), STOP_TIMEOUT_MS).catch((error) => {
      if (!isTimeout(error)) return ''
      throw failed(`the Redis in ${this.#dir} does not answer: see which process keeps it, or set REDIS_URL`, error)
    })
    if (String(clients).includes(`name=${OWNER} `)) {
      const advice = 'stop that one, or set REDIS_URL'
      throw failed(`expected ${this.#dir} to be free, but another order-expiry uses it: ${advice}`)
    }
    await ask(this.#socket, (redis) => redis.shutdown(), STOP_TIMEOUT_MS).catch(() => {}) // it hangs up instead of answering
    const endsAt = clock.monotonic() + STOP_TIMEOUT_MS
    while (await stateAt(this.#socket)) {
      if (clock.monotonic() > endsAt)
        throw failed(`the Redis that an earlier order-expiry left in ${this.#dir} does not end`)
      await clock.sleep(LOOK_AT_END_EVERY_MS)
    }
  }

  async #own(): Promise<void> {
    const owner = connect(this.#socket, ANSWER_TIMEOUT_MS)
    owner.once('end', () => void this.#lost())
    this.#owner = owner
    await owner.client('SETNAME', OWNER).catch((cause) => {
      throw failed(`the embedded Redis did not answer: ${String(cause)}`, cause)
    })
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
        await this.start()
        if (this.#stopping) await this.stop()
        return
      } catch {
        // Tried again; whoever needs it reports that it is away.
      }
    }
  }
}

/**
 * Whether a server of ours listens there, and whether it takes commands, which it does not while it reads its data. One that takes
 * its time is there: another one would write the same files.
 */
async function stateAt(socket: string): Promise<'ready' | 'busy' | undefined> {
  if (!isOurSocket(socket)) return undefined
  try {
    await ask(socket, (redis) => redis.ping())
    return 'ready'
  } catch (error) {
    return redisErrorCode(error) || isTimeout(error) ? 'busy' : undefined
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Command timed out'
}

/** Over a connection of its own. */
async function ask<T>(socket: string, command: (redis: Redis) => Promise<T>, withinMs = ANSWER_TIMEOUT_MS): Promise<T> {
  const redis = connect(socket, withinMs)
  try {
    return await command(redis)
  } finally {
    redis.disconnect()
  }
}

function connect(path: string, commandTimeout: number): Redis {
  return openRedis({ profile: { path, commandTimeout, enableReadyCheck: false, retryStrategy: null } })
}

function urlOf(socket: string): string {
  return `unix://${socket.split('/').map(encodeURIComponent).join('/')}`
}
