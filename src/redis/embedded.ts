import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'

/** The name of the connection by which the process that owns an embedded Redis is told from its guests. */
const OWNER = 'order-expiry-owner'
const BINARIES = ['redis-server', 'valkey-server']
const START_TIMEOUT_MS = 30_000
const ANSWER_TIMEOUT_MS = 2_000
const STOP_TIMEOUT_MS = 8_000
/** sun_path holds 108 bytes on Linux, 104 on macOS. https://man7.org/linux/man-pages/man7/unix.7.html */
const MAX_SOCKET_PATH = 100

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
  readonly #onExit: (exit: { code: number | null; signal: string | null }) => void
  #child: ChildProcess | undefined
  #owner: Socket | undefined
  #stopping = false

  constructor(options: {
    /** Where its data is kept; created if missing. */
    dir: string
    clock: Clock
    /** It ended without being asked to; it is started again. */
    onExit: (exit: { code: number | null; signal: string | null }) => void
  }) {
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
    this.#makeFolder()
    const release = await this.#lock(options.signal)
    try {
      if (!(await this.#answers())) {
        await this.#spawn(options.signal)
        await this.#own()
        return 'started'
      }
      if (!(await ask(this.#socket, 'CLIENT LIST')).includes(`name=${OWNER} `)) {
        await this.#own()
        return 'adopted'
      }
      if (options.mayJoin) return 'joined'
    } finally {
      release()
    }
    throw new OrderExpiryError(
      'EMBEDDED_REDIS_FAILED',
      `expected ${this.#dir} to be free, but another order-expiry uses it: stop that one, or set REDIS_URL`,
    )
  }

  /** Ends it with all its data on disk, if this process owns it. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (!this.#owner) return
    this.#owner.destroy()
    this.#owner = undefined
    const child = this.#child
    if (child) {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await this.#within(exited, STOP_TIMEOUT_MS).catch(() => child.kill('SIGKILL'))
    } else {
      await ask(this.#socket, 'SHUTDOWN').catch(() => {}) // it closes the connection instead of answering
    }
  }

  #makeFolder(): void {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
    } catch (cause) {
      throw new OrderExpiryError(
        'EMBEDDED_REDIS_FAILED',
        `expected ${this.#dir} to be a folder to write in: start in another one, or set REDIS_URL (${String(cause)})`,
        { cause },
      )
    }
  }

  /** One process at a time looks and starts: two servers must never write the same files. @returns what lets the next one */
  async #lock(signal: AbortSignal | undefined): Promise<() => void> {
    const path = join(this.#dir, 'start.lock')
    const endsAt = this.#clock.now() + START_TIMEOUT_MS
    for (;;) {
      try {
        writeFileSync(path, `${process.pid}`, { flag: 'wx' })
        return () => rmSync(path, { force: true })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        if (this.#clock.now() > endsAt || !isAlive(path)) rmSync(path, { force: true })
        else await this.#clock.sleep(50, signal)
      }
    }
  }

  /** Whether a server answers on the socket. */
  async #answers(): Promise<boolean> {
    try {
      return (await this.#within(ask(this.#socket, 'PING'), ANSWER_TIMEOUT_MS)).startsWith('+PONG')
    } catch {
      return false
    }
  }

  async #own(): Promise<void> {
    this.#owner = connect(this.#socket)
    this.#owner.on('error', () => {})
    this.#owner.once('close', () => this.#lost())
    this.#owner.write(`CLIENT SETNAME ${OWNER}\r\n`)
    await this.#within(once(this.#owner, 'data'), ANSWER_TIMEOUT_MS)
    this.#owner.resume()
  }

  async #spawn(signal: AbortSignal | undefined): Promise<void> {
    const log = join(this.#dir, 'redis.log')
    for (const binary of BINARIES) {
      // A session of its own: Ctrl-C in the terminal must reach the daemon alone, which still needs its Redis to stop.
      const child = spawn(binary, serverArguments({ dir: this.#dir, socket: this.#socket, log }), {
        detached: true,
        stdio: 'ignore',
      })
      const failed = await new Promise<NodeJS.ErrnoException | undefined>((done) => {
        child.once('error', done)
        child.once('spawn', () => done(undefined))
      })
      if (failed?.code === 'ENOENT') continue
      if (failed)
        throw new OrderExpiryError('EMBEDDED_REDIS_FAILED', `${binary} cannot be started: ${failed.message}`, {
          cause: failed,
        })
      this.#child = child
      await this.#untilReady({ child, binary, log, signal })
      child.unref()
      return
    }
    throw new OrderExpiryError(
      'EMBEDDED_REDIS_FAILED',
      'expected redis-server or valkey-server to be installed (apt-get install redis-server, apk add redis, dnf install redis, brew install redis), or REDIS_URL to be set',
    )
  }

  async #untilReady(options: {
    child: ChildProcess
    binary: string
    log: string
    signal: AbortSignal | undefined
  }): Promise<void> {
    const { child, binary, log, signal } = options
    const endsAt = this.#clock.now() + START_TIMEOUT_MS // a large append-only file takes its time
    while (!(await this.#answers())) {
      if (child.exitCode !== null || child.signalCode !== null || this.#clock.now() > endsAt) {
        child.kill('SIGKILL')
        throw new OrderExpiryError(
          'EMBEDDED_REDIS_FAILED',
          `${binary} has not started; its last words: ${lastLine(log)}`,
        )
      }
      await this.#clock.sleep(20, signal).catch((reason: unknown) => {
        child.kill('SIGKILL')
        throw reason
      })
    }
  }

  /** The connection of the owner is gone: the server has ended, whoever started it. */
  #lost(): void {
    if (this.#stopping) return
    this.#onExit({ code: this.#child?.exitCode ?? null, signal: this.#child?.signalCode ?? null })
    this.#owner = undefined
    this.#child = undefined
    void this.#restart()
  }

  async #restart(): Promise<void> {
    while (!this.#stopping) {
      await this.#clock.sleep(1_000)
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
      new OrderExpiryError('EMBEDDED_REDIS_FAILED', `the embedded Redis has not answered within ${ms} ms`)
    return withTimeout({ work, ms, clock: this.#clock, onTimeout })
  }
}

function serverArguments(options: { dir: string; socket: string; log: string }): string[] {
  const { dir, socket, log } = options
  const settings: Record<string, string> = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '600',
    dir,
    logfile: log,
    daemonize: 'no',
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    // A waiting job has a field of over 64 bytes; with the default limit it would take nearly twice the memory.
    // This is the name that Redis 6 knows as well; it is an alias of hash-max-listpack-value.
    'hash-max-ziplist-value': '128',
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

function socketPath(dir: string): string {
  const path = join(dir, 'redis.sock')
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path
  return join(tmpdir(), `order-expiry-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}.sock`)
}

/** The answer to one inline command. https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands */
async function ask(socket: string, command: string): Promise<string> {
  const connection = connect(socket)
  try {
    await once(connection, 'connect')
    connection.write(`${command}\r\n`)
    let answer = ''
    for await (const chunk of connection) {
      answer += String(chunk)
      if (isWhole(answer)) break
    }
    return answer
  } finally {
    connection.destroy()
  }
}

/** A simple string, or a bulk string with all the bytes that it announces. */
function isWhole(answer: string): boolean {
  const bulk = /^\$(\d+)\r\n/.exec(answer)
  if (!bulk) return answer.endsWith('\r\n')
  return Buffer.byteLength(answer) >= bulk[0].length + Number(bulk[1]) + 2
}

/** Whether the process whose id is in the file still runs. */
function isAlive(file: string): boolean {
  try {
    process.kill(Number(readFileSync(file, 'utf8')) || process.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function lastLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? 'none'
  } catch {
    return 'none'
  }
}
