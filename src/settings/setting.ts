import { readFileSync, statSync } from 'node:fs'
import type { z } from 'zod'

export type Environment = Readonly<Record<string, string | undefined>>

interface Setting<T = unknown> {
  /** Turns the text of the variable into its value; its messages begin with what was expected. */
  schema: z.ZodType<T, string>
  /** The text that counts when the variable is not set. Without one, the value is undefined. */
  default?: string
  /** Also read from the file that NAME_FILE names; never shown. */
  secret?: true
  /** Not a secret, but not shown when it is wrong: it may contain one by mistake. */
  isPrivate?: true
  /** What the variable set to an empty text means, where it is not the same as one that is not set. */
  empty?: 'none' | 'refused'
  /** SQL, in which quotes have a meaning of their own. */
  sql?: 'name' | 'expression'
  /** A `#` behind a space may belong to it: SQL has an operator of this name, and a password may have both. */
  hasHashes?: true
}

export type Settings = Readonly<Record<string, Setting>>

export type SettingValues<Table extends Settings> = { readonly [Name in keyof Table]: Value<Table[Name]> }

type Value<Row extends Setting> = Row extends { default: string; empty?: 'refused' }
  ? z.output<Row['schema']>
  : z.output<Row['schema']> | undefined

/** Both in one: the process environment wins over the `.env` file, but for empty variables that mean "not set". */
export function mergeEnvironments(settings: Settings, input: { env: Environment; dotenv: Environment }): Environment {
  const given = Object.entries(input.env).filter(([name, text]) => text !== '' || settings[name]?.empty)
  return { ...input.dotenv, ...Object.fromEntries(given) }
}

/** The values of all settings that have one. What is wrong is added to `problems`, a line each. */
export function readValues({ settings, env, problems }: { settings: Settings; env: Environment; problems: string[] }) {
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(settings)) {
    const text = readText(name, setting, env, problems)
    if (text === undefined) continue
    const stray = findStray(text, setting)
    if (stray) {
      problems.push(`${name}: ${stray}`)
      continue
    }
    const { data, error } = setting.schema.safeParse(text)
    if (error) {
      const expected = new Set(error.issues.map(({ message }) => message))
      const given = setting.secret || setting.isPrivate ? '' : `, given ${JSON.stringify(text)}`
      problems.push(`${name}: ${[...expected].join('; ')}${given}`)
    } else values[name] = data
  }
  return values
}

/** Nobody is shown the value: it may be a secret. */
const NO_QUOTES =
  'expected no quotes around it; take them away: what is not a shell, such as `docker run --env-file`, makes them a part of the value'

const NO_COMMENT =
  'expected no comment behind it; put it on a line of its own: what is not a shell, such as `docker run --env-file`, makes it a part of the value'
const NO_REFERENCE =
  'expected no reference to another variable, given one that nobody has replaced: write out the value that it stands for'

const NAMES_IN_SQL = {
  name: '; quote each name alone: "shop"."a.b"',
  expression: '; put a column such as "is open" into parentheses',
}

/** What was meant for somebody who reads the value before us, a shell above all, and what to do; undefined: nothing. */
export function findStray(text: string, { sql, hasHashes }: Pick<Setting, 'sql' | 'hasHashes'> = {}) {
  if (hasStrayQuotes(text, sql)) return `${NO_QUOTES}${sql ? NAMES_IN_SQL[sql] : ''}`
  if (/\$\{\w+(:?[-?+][^}]*)?\}|\$\(\w+\)/.test(text)) return NO_REFERENCE
  return !hasHashes && /\s#(\s|$)/.test(text) ? NO_COMMENT : undefined
}

/** Quotes that were meant for a shell, or those of JSON or a word processor, around the value or an entry of a list. */
function hasStrayQuotes(text: string, sql: Setting['sql']): boolean {
  // A column such as "isOpen" is an expression; what has more in it than a name is none within quotes.
  if (sql === 'expression') return /^\s*(?:'[^']*'|`[^`]*`|"[^"]*[\s=(<>!][^"]*"|[“”„‘’].*)\s*$/s.test(text)
  if (sql === 'name') {
    const bare = text.replace(/"(?:[^"]|"")*"/g, '""')
    return /^\s*"[^"]*\.[^"]*"\s*$/.test(text) || /(^|\.)\s*['`“”„‘’]|['`“”„‘’]\s*(\.|$)/.test(bare)
  }
  return text.split(',').some((entry) => {
    const [, last = ''] = /(['"`“”„‘’])\s*\]?\s*$/.exec(entry) ?? []
    const isOpened = last !== '' && entry.split(last).length % 2 === 1 // within: a column may be called the "case"
    return /^\s*\[?\s*['"`“”„‘’]/.test(entry) || (last !== '' && !isOpened)
  })
}

function readText(name: string, setting: Setting, env: Environment, problems: string[]): string | undefined {
  const text = env[name]
  const path = setting.secret && env[`${name}_FILE`]
  if (text && path) {
    problems.push(`${name}: expected either ${name} or ${name}_FILE, given both`)
    return undefined
  }
  const stray = path && findStray(path)
  if (stray) {
    problems.push(`${name}_FILE: ${stray}`)
    return undefined
  }
  if (path) return readFile({ name: `${name}_FILE`, path, problems })
  if (text === '' && setting.empty === 'refused') problems.push(`${name}: expected a name, given an empty text`)
  if (text === '' && setting.empty) return undefined
  return text || setting.default
}

/**
 * The text of the file that the variable names. If it cannot be read, or others could have written it: undefined, and another
 * problem.
 *
 * @param options.isCode it is run, so it must be ours or root's. Secrets may come from the user of another program, as Vault's do
 */
export function readFile(options: { name: string; path: string; problems: string[]; isCode?: true }) {
  const { name, path, problems, isCode } = options
  try {
    const { mode, uid } = statSync(path)
    const ourId = process.getuid?.() // Windows knows no such owners
    const isOpen = ourId !== undefined && (mode & 0o002) !== 0
    if (isOpen || (isCode && ourId !== undefined && uid !== 0 && uid !== ourId)) {
      const what = isOpen
        ? 'that not everybody can write: chmod o-w it'
        : `of yours or of root's, not of user ${uid}: chown it`
      problems.push(`${name}: expected a file ${what}, given ${JSON.stringify(path)}`)
      return undefined
    }
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    problems.push(`${name}: expected a readable file, given ${JSON.stringify(path)} (${code ?? String(error)})`)
    return undefined
  }
}
