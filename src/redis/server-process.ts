import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../runtime/clock.ts'
import { failed } from './data-folder.ts'

const LOG_FILE = 'redis.log'
const LOOK_AT_START_EVERY_MS = 20
/** As a shell says that a program does not exist. */
const NOT_FOUND = 127
/**
 * The shell becomes the server. Its child reads from a pipe that this process holds: a line says that the server has ended; its
 * end, that this process has, however it died, and then the server ends in order too, with all its data on disk. What it writes is
 * for us alone.
 */
const SCRIPT = `
umask 077
(read -r _ <&3 || kill -TERM $$) &
for server in redis-server valkey-server; do
  command -v "$server" >/dev/null && exec "$server" "$@" 3<&-
done
exit ${NOT_FOUND}`
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
 * Starts a server as a child process, which neither keeps this one alive nor outlives it. Resolves once it is ready.
 *
 * @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED, or the signal's reason; then nothing is left running
 */
export async function startServer(options: ServerOptions): Promise<ChildProcess> {
  // A session of its own: Ctrl-C in the terminal must reach the daemon alone, which still needs its Redis to stop.
  const child = spawn('sh', ['-c', SCRIPT, 'sh', ...serverArguments(options)], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const pipe = child.stdio[3] as Socket
  pipe.on('error', () => {}) // its reader has ended before us
  child.once('exit', () => pipe.end('ended\n'))
  try {
    await once(child, 'spawn') // rejects with an error
  } catch (cause) {
    throw failed(`no shell can be started for redis-server: ${(cause as Error).message}`, cause)
  }
  await untilReady(child, options)
  child.unref()
  pipe.unref()
  return child
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
    // A finished job has a field of about 150 bytes, its result; with the default limit of 64 it would take twice the memory.
    // Redis 6 knows only this name, which is now an alias of hash-max-listpack-value.
    'hash-max-ziplist-value': '256',
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

async function untilReady(child: ChildProcess, { dir, isReady, clock, signal }: ServerOptions): Promise<void> {
  const endsAt = clock.now() + START_TIMEOUT_MS
  try {
    while (!(await isReady())) {
      if (child.exitCode === NOT_FOUND) {
        const ways = 'apt-get install redis-server, apk add redis, dnf install redis, brew install redis'
        throw failed(`expected redis-server or valkey-server to be installed (${ways}), or REDIS_URL to be set`)
      }
      if (hasExited(child) || clock.now() > endsAt) {
        throw failed(`redis-server did not start; the last line of its log: ${lastLineOfLog(dir)}`)
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
      writeFileSync(path, `${process.pid}`, { flag: 'wx', mode: 0o600 })
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
