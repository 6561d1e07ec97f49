import {
  chmodSync,
  type Dirent,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OrderExpiryError } from '../errors.ts'

const SOCKET = 'redis.sock'
/** sun_path holds 108 bytes on Linux, 104 on macOS. https://man7.org/linux/man-pages/man7/unix.7.html */
const LONGEST_SOCKET_PATH = 100
/** In a data folder whose path is too long for a socket: the name of the folder that has it. */
const NOTE = 'socket-folder'

/** Makes the folder of an embedded Redis, or makes it and all in it ours alone. @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED */
export function openDataFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    // Also a link to it: whoever owns that says which folder it is.
    const uid = [lstatSync(dir), statSync(dir)].find((stats) => !isOurs(stats))?.uid
    if (uid !== undefined) {
      throw failed(`expected ${dir} to belong to you, but user ${uid} owns it: start as that user, or set REDIS_URL`)
    }
    chmodSync(dir, 0o700) // first of all: from now on nobody else gets at what is in it
    for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) tighten(entry)
  } catch (cause) {
    if (cause instanceof OrderExpiryError) throw cause
    const advice = 'start in another one, or set REDIS_URL'
    throw failed(`expected ${dir} to be a writable folder: ${advice} (${String(cause)})`, cause)
  }
}

/** @throws {OrderExpiryError} EMBEDDED_REDIS_FAILED */
export function failed(message: string, cause?: unknown): OrderExpiryError {
  return new OrderExpiryError('EMBEDDED_REDIS_FAILED', message, { cause })
}

function tighten(entry: Dirent): void {
  if (!entry.isDirectory() && !entry.isFile()) return
  const path = join(entry.parentPath, entry.name)
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0 // the server of a demo may have renamed it
  if (mode & 0o077) chmodSync(path, mode & 0o700)
}

/** Where the socket of the server with this data is; undefined: nowhere yet. */
export function findSocket(dir: string): string | undefined {
  const path = join(dir, SOCKET)
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return path
  const folder = readNote(dir)
  return folder && isPrivate(folder) ? join(folder, SOCKET) : undefined
}

/** The same; where the path would be too long, there is then a folder of ours alone, with a name that nobody can guess. */
export function placeSocket(dir: string): string {
  const found = findSocket(dir)
  if (found) return found
  openDataFolder(dir)
  const folder = mkdtempSync(join(tmpdir(), 'order-expiry-'))
  writeFileSync(join(dir, NOTE), folder, { mode: 0o600 })
  return join(folder, SOCKET)
}

/** Whether somebody has put the socket there whom we can trust: ourselves. */
export function isOurSocket(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return Boolean(stats?.isSocket() && isOurs(stats))
}

function readNote(dir: string): string | undefined {
  try {
    return readFileSync(join(dir, NOTE), 'utf8')
  } catch {
    return undefined
  }
}

function isPrivate(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false })
  return Boolean(stats?.isDirectory() && isOurs(stats) && (stats.mode & 0o077) === 0)
}

/** Windows knows no such owners. */
function isOurs({ uid }: Pick<Stats, 'uid'>): boolean {
  return process.getuid === undefined || uid === process.getuid()
}
