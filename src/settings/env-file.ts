import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { parse } from 'dotenv'
import { OrderExpiryError } from '../errors.ts'
import type { Environment } from './setting.ts'

const DEFAULT_PATH = '.env'
/** As Linux follows. */
const MOST_LINKS = 40
const [GROUP_WRITES, ALL_WRITE, STICKY] = [0o020, 0o002, 0o1000]

/** What the command line says: a path, false for no file, undefined for the `.env` of the current folder, if there is one. */
export type EnvFileChoice = string | false | undefined

export interface EnvFile {
  /** Absolute. */
  path: string
  text: string
}

/**
 * The file with further settings; undefined: there is none. Whoever can write it decides which SQL we run, so it is read only
 * if it belongs to the caller or to root, and nobody else can change or replace it.
 *
 * @throws {OrderExpiryError} INVALID_SETTINGS
 */
export function readEnvFile(choice: EnvFileChoice): EnvFile | undefined {
  if (choice === false) return undefined
  const path = resolve(choice ?? DEFAULT_PATH)
  let file: number | undefined
  try {
    const way = wayTo(path)
    // Opened once, so that what is looked at is what is read. Opening a pipe must not wait for a writer.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const problem = whyNotTrusted({ ...way, file: fstatSync(file) })
    if (problem) throw refused(path, problem)
    const text = readFileSync(file, 'utf8')
    // As PowerShell writes it with ">": nothing in it would be found.
    if (text.includes('\0'))
      throw refused(path, 'text in UTF-8, and it is in another encoding such as UTF-16: save it anew')
    return { path, text }
  } catch (error) {
    if (error instanceof OrderExpiryError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && choice === undefined && !isLink(path)) return undefined
    throw refused(path, `a readable file (${code ?? String(error)})`, error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** The links that lead to the file, and the folders that hold them and the file: whoever owns one of them says what is read. */
function wayTo(path: string): { links: Stats[]; folders: Map<string, Stats> } {
  const links: Stats[] = []
  const folders = new Map<string, Stats>()
  for (let step = path; links.length < MOST_LINKS; ) {
    const folder = realpathSync(dirname(step))
    folders.set(folder, statSync(folder))
    const stats = lstatSync(step)
    if (!stats.isSymbolicLink()) break
    links.push(stats)
    step = resolve(folder, readlinkSync(step))
  }
  return { links, folders }
}

function isLink(path: string): boolean {
  return Boolean(lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
}

/** What was expected of the file or its folder, and what to do; undefined: nobody else can change what is read. */
function whyNotTrusted(found: {
  links: Stats[]
  file: Stats
  folders: ReadonlyMap<string, Stats>
}): string | undefined {
  const { links, file, folders } = found
  if (!file.isFile()) return 'a file'
  const uid = process.getuid?.()
  if (uid === undefined) return undefined // Windows knows no such owners
  const isStrange = (stats: Stats) => stats.uid !== uid && stats.uid !== 0
  const owner = [file, ...links].find(isStrange)?.uid
  if (owner !== undefined) {
    return `to belong to you (user ${uid}) or to root, and it belongs to user ${owner}: if you trust it, chown it`
  }
  if (file.mode & (GROUP_WRITES | ALL_WRITE)) return 'to be writable by its owner only: chmod go-w it'
  for (const [folder, stats] of folders) {
    if (isStrange(stats)) return `to be in a folder of yours or of root's, and ${folder} belongs to user ${stats.uid}`
    // Distributions give each user a group alone, whose folders are writable by it.
    const isOpen = stats.mode & ALL_WRITE || (stats.mode & GROUP_WRITES && stats.gid !== process.getgid?.())
    if (isOpen && !(stats.mode & STICKY)) return `to be in a folder that others cannot write: chmod go-w ${folder}`
  }
  return undefined
}

function refused(path: string, expected: string, cause?: unknown): OrderExpiryError {
  const instead = 'or name another with --env-file, or none with --no-env-file'
  return new OrderExpiryError('INVALID_SETTINGS', `${path}: expected ${expected}; ${instead}`, { cause })
}

/** As dotenv reads it. https://github.com/motdotla/dotenv#what-rules-does-the-parsing-engine-follow */
const ASSIGNMENT =
  /^[^\S\r\n]*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?[^\S\r\n]*(#.*)?$/gm
/** One text in quotes, not two such as `"my.schema"."Order"`. */
const IN_QUOTES = /^(['"`])(?:\\\1|(?!\1)[\s\S])*\1$/
const LATER_LINE = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=/gm

/**
 * The settings in the text of a file. A value of ours that could be read in two ways is left out, and told in `problems`; what
 * else the file holds belongs to other programs.
 */
export function parseEnvFile(
  text: string,
  isOurs: (name: string) => boolean,
): { values: Record<string, string>; problems: string[] } {
  const problems = new Map<string, string>()
  const read = parse(text)
  const values = { ...read }
  for (const [, name = '', value = '', rest] of text.matchAll(ASSIGNMENT)) {
    const given = value.trim()
    const isQuoted = IN_QUOTES.test(given)
    const swallowed = isQuoted ? [...given.matchAll(LATER_LINE)].map(([, later = '']) => later) : []
    problems.delete(name) // the last one of a name counts
    // Of what only begins and ends with a quote, dotenv takes both away.
    if (isOurs(name)) values[name] = isQuoted ? (read[name] ?? '') : given
    if (isOurs(name) && swallowed.length > 0) {
      const what = `a quote that ends where it should; it goes on over ${swallowed.join(', ')}`
      problems.set(name, `${name}: expected ${what}: close it at the end of the line`)
    } else if (isOurs(name) && !isQuoted && rest !== undefined) {
      const what = 'no # outside quotes, where it begins a comment'
      problems.set(name, `${name}: expected ${what}: put the value in quotes, and a comment on a line of its own`)
    }
    for (const later of swallowed.filter((one) => isOurs(one))) {
      problems.set(later, `${later}: expected on a line outside the quotes of ${name}: close them before it`)
    }
  }
  for (const line of text.replace(ASSIGNMENT, '').split(/[\r\n]+/)) {
    const name = /^\s*#/.test(line) ? undefined : line.match(/[A-Z][A-Z0-9_]*/g)?.find(isOurs)
    if (name)
      problems.set(name, `${name}: expected ${name}=… alone on a line; one that has it otherwise would be passed over`)
  }
  for (const name of problems.keys()) delete values[name]
  return { values, problems: [...problems.values()] }
}

/**
 * The environment without what Node has put there: some versions read the file of an `--env-file` behind the script's name
 * themselves, and take `"a" = 'b'` for `a`.
 */
export function withoutNodesReading(env: Environment, text: string): Environment {
  const read = parseEnv(text)
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => value !== read[name]))
}
