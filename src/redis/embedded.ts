import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { sendInlineCommand } from './inline-command.ts'
import { hasExited, startServer } from './server-process.ts'
import { takeStartLock } from './start-lock.ts'

/** The connection name that tells the process that owns an embedded Redis from its guests. */
const OWNER = 'order-expiry-owner'
const ANSWER_TIMEOUT_MS = 2_000
const STOP_TIMEOUT_MS = 8_000
const RESTART_EVERY_MS = 1_000
/** sun_path holds 108 bytes on Linux, 104 on macOS. https://man7.org/linux/man-pages/man7/unix.7.html */
const LONGEST_SOCKET_PATH = 100

interface EmbeddedRedisOptions {
  /** Where its data is kept; created if missing. */
  dir: string
  clock: Clock
  /** It ended without being asked to, and is started again. Only a child of this process tells how it ended. */
  onExit: (exit: { code: number | null; signal: string | null }) => void
}

/**
 * A private Redis (or Valkey) as a child process, on a Unix socket, with an append-only file: for a first try, for
 * development and for shops without a Redis of their own.
 *
 * If its owner has been killed it lives on, and the next owner takes it over with all its data.
 */
export class EmbeddedRedis {
  readonly #dir: string
  readonly #socket: string
  readonly #clock: Clock
  readonly #onExit: EmbeddedRedisOptions['onExit']
  #child: ChildProcess | undefined
  #owner: Socket | undefined
  #stopping = false

  constructor(options: EmbeddedRedisOptions) {
    this.#dir = resolve(options.dir)
    this.#socket = socketPath(this.#dir)
    this.#clock = options.clock
    this.#onExit = options.onExit
  }

  /** `unix:///path/to.sock` */
  get url(): string {
    return `unix://${this.#socket.split('/').map(encodeURIComponent).join('/')}`
  }

  /**
   * Starts it, or takes it over from an owner that is gone.
   *
   * @returns `started`, `adopted`, or `joined` if another process owns it and `mayJoin` says that this is all right
   * @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED, or the signal's reason; then nothing is left running
   */
  async start(options: { mayJoin: boolean; signal?: AbortSignal }): Promise<'started' | 'adopted' | 'joined'> {
    const { mayJoin, signal } = options
    const [dir, socket, clock] = [this.#dir, this.#socket, this.#clock]
    this.#makeFolder()
    // One process at a time looks and starts: two servers must never write the same files.
    const releaseLock = await takeStartLock({ path: join(dir, 'start.lock'), clock, signal })
    try {
      if (!(await this.#answers())) {
        this.#child = await startServer({ dir, socket, isReady: () => this.#answers(), clock, signal })
        await this.#own()
        return 'started'
      }
      if (!(await sendInlineCommand(socket, 'CLIENT LIST')).includes(`name=${OWNER} `)) {
        await this.#own()
        return 'adopted'
      }
      if (mayJoin) return 'joined'
    } finally {
      releaseLock()
    }
    throw new OrderExpiryError(
      'EMBEDDED_REDIS_FAILED',
      `expected ${dir} to be free, but another order-expiry uses it: stop that one, or set REDIS_URL`,
    )
  }

  /** Ends it with all its data on disk, if this process owns it. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (!this.#owner) return
    this.#owner.destroy()
    this.#owner = undefined
    const child = this.#child
    if (!child) {
      await sendInlineCommand(this.#socket, 'SHUTDOWN').catch(() => {}) // it closes the connection instead of answering
    } else if (!hasExited(child)) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await this.#within(exited, STOP_TIMEOUT_MS).catch(() => child.kill('SIGKILL'))
    }
  }

  #makeFolder(): void {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
    } catch (cause) {
      const message = `expected ${this.#dir} to be a writable folder: start in another one, or set REDIS_URL (${String(cause)})`
      throw new OrderExpiryError('EMBEDDED_REDIS_FAILED', message, { cause })
    }
  }

  /** Whether a server answers on the socket. */
  async #answers(): Promise<boolean> {
    const answer = await this.#within(sendInlineCommand(this.#socket, 'PING'), ANSWER_TIMEOUT_MS).catch(() => '')
    return answer.startsWith('+PONG')
  }

  async #own(): Promise<void> {
    this.#owner = connect(this.#socket)
    this.#owner.on('error', () => {})
    this.#owner.once('close', () => this.#lost())
    this.#owner.write(`CLIENT SETNAME ${OWNER}\r\n`)
    await this.#within(once(this.#owner, 'data'), ANSWER_TIMEOUT_MS)
    this.#owner.resume()
  }

  /** The owner's connection is gone: the server has ended, whoever started it. */
  #lost(): void {
    if (this.#stopping) return
    this.#onExit({ code: this.#child?.exitCode ?? null, signal: this.#child?.signalCode ?? null })
    this.#owner = undefined
    this.#child = undefined
    void this.#restart()
  }

  async #restart(): Promise<void> {
    while (!this.#stopping) {
      await this.#clock.sleep(RESTART_EVERY_MS)
      if (this.#stopping) return
      try {
        // Not joined: a command that has stepped in meanwhile will stop its server again.
        await this.start({ mayJoin: false })
        if (this.#stopping) await this.stop()
        return
      } catch {
        // Whoever needs it reports that it is away; it is tried again until then.
      }
    }
  }

  #within<T>(work: Promise<T>, ms: number): Promise<T> {
    const onTimeout = () =>
      new OrderExpiryError('EMBEDDED_REDIS_FAILED', `the embedded Redis did not answer within ${ms} ms`)
    return withTimeout({ work, ms, clock: this.#clock, onTimeout })
  }
}

function socketPath(dir: string): string {
  const path = join(dir, 'redis.sock')
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return path
  return join(tmpdir(), `order-expiry-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}.sock`)
}
