import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'

const LOG_FILE = 'redis.log'
const LOOK_AT_START_EVERY_MS = 20
/** A large append-only file takes time. Whoever holds the lock for longer loses it to others. */
const START_TIMEOUT_MS = 30_000

interface ServerOptions {
  dir: string
  socket: string
  isReady: () => Promise<boolean>
  clock: Clock
  signal: AbortSignal | undefined
}

/**
 * Starts a server as a child process, which does not keep this one alive. Resolves once it is ready.
 *
 * @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED, or the signal's reason; then nothing is left running
 */
export async function startServer(options: ServerOptions): Promise<ChildProcess> {
  for (const binary of ['redis-server', 'valkey-server']) {
    // A session of its own: Ctrl-C in the terminal must reach the daemon alone, which still needs its Redis to stop.
    const child = spawn(binary, serverArguments(options), { detached: true, stdio: 'ignore' })
    try {
      await once(child, 'spawn') // rejects with an error
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      if (code === 'ENOENT') continue
      throw failed(`${binary} cannot be started: ${message}`, cause)
    }
    await untilReady(child, options)
    child.unref()
    return child
  }
  const ways = 'apt-get install redis-server, apk add redis, dnf install redis, brew install redis'
  throw failed(`expected redis-server or valkey-server to be installed (${ways}), or REDIS_URL to be set`)
}

export function failed(message: string, cause?: unknown): OrderExpiryError {
  return new OrderExpiryError('EMBEDDED_REDIS_FAILED', message, { cause })
}

export function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function serverArguments({ dir, socket }: ServerOptions): string[] {
  const settings: Record<string, string> = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '600',
    dir,
    logfile: join(dir, LOG_FILE),
    daemonize: 'no',
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    // A waiting job has a field of over 64 bytes; with the default limit it would take nearly twice the memory.
    // Redis 6 knows only this name, which is now an alias of hash-max-listpack-value.
    'hash-max-ziplist-value': '128',
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

async function untilReady(child: ChildProcess, { dir, isReady, clock, signal }: ServerOptions): Promise<void> {
  const endsAt = clock.now() + START_TIMEOUT_MS
  try {
    while (!(await isReady())) {
      if (hasExited(child) || clock.now() > endsAt) {
        throw failed(`${child.spawnfile} did not start; the last line of its log: ${lastLineOfLog(dir)}`)
      }
      await clock.sleep(LOOK_AT_START_EVERY_MS, signal)
    }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

function lastLineOfLog(dir: string): string {
  try {
    return readFileSync(join(dir, LOG_FILE), 'utf8').trim().split('\n').at(-1) ?? 'none'
  } catch {
    return 'none'
  }
}

/** Takes the lock file once no living process holds it. @returns what gives it back @throws the signal's reason */
export async function takeStartLock(
  path: string,
  { clock, signal }: { clock: Clock; signal: AbortSignal | undefined },
): Promise<() => void> {
  const endsAt = clock.now() + START_TIMEOUT_MS
  for (;;) {
    try {
      writeFileSync(path, `${process.pid}`, { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (clock.now() > endsAt || !isHolderAlive(path)) rmSync(path, { force: true })
      else await clock.sleep(LOOK_AT_START_EVERY_MS, signal)
    }
  }
}

function isHolderAlive(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')) || process.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
