import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'
import { OrderExpiryError } from './errors.ts'
import { LOG_LEVELS } from './observe/log.ts'
import { parseRedisAddress } from './queue/connection.ts'
import { DURATION_FORMAT, formatDuration, parseDuration } from './runtime/duration.ts'
import { quoteTable } from './stores/postgres-columns.ts'

/** Where an embedded Redis keeps its data, below the current directory. */
export const DATA_DIR = '.data'

/** One row of the table of settings. */
interface Setting<T = unknown> {
  /** Turns the text of the variable into its value; its messages begin with what was expected. */
  schema: z.ZodType<T, string>
  /** The text that counts when the variable is not set; undefined: none, the value is then undefined. */
  default?: string
  /** For `.env.example`, `check` and the README. */
  description: string
  /** Also read from the file that NAME_FILE names; never shown. */
  secret?: true
  /** The variable set to an empty text means "none" instead of "not set". */
  emptyIsNone?: true
}

const duration = (least: number, most: number) =>
  z.string().transform((text, context) => {
    const ms = parseDuration(text)
    if (ms !== undefined && ms >= least && ms <= most) return ms
    context.addIssue(`expected ${DURATION_FORMAT}, from ${formatDuration(least)} to ${formatDuration(most)}`)
    return z.NEVER
  })

const integer = (least: number, most: number) =>
  z.string().transform((text, context) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    context.addIssue(`expected a whole number from ${least} to ${most}`)
    return z.NEVER
  })

/** Undefined: off. */
const orOff = <T>(schema: z.ZodType<T, string>) =>
  z.string().transform((text, context): T | undefined => {
    if (text === 'off') return undefined
    const parsed = schema.safeParse(text)
    if (parsed.success) return parsed.data
    for (const { message } of parsed.error.issues) context.addIssue(`${message}, or off`)
    return z.NEVER
  })

const name = z.string().regex(/^[^:\s]{1,100}$/, 'expected a name of up to 100 characters without ":" or spaces')
const column = z.string().refine((text) => Buffer.byteLength(text) <= 63, 'expected a column name of up to 63 bytes')
const status = z.string().trim().min(1, 'expected a status')

const redisUrl = z.string().refine((text) => {
  try {
    return Boolean(parseRedisAddress(text))
  } catch {
    return false
  }
}, 'expected redis://[user:password@]host[:port][/db], rediss://… or unix:///path')

const databaseUrl = z
  .string()
  .refine(
    (text) => URL.canParse(text) && ['postgres:', 'postgresql:'].includes(new URL(text).protocol),
    'expected postgres://user:password@host:5432/database',
  )

const host = z
  .string()
  .refine((text) => isIP(text) !== 0 || /^[a-z0-9.-]+$/i.test(text), 'expected an IP address or a host name')

export interface BoardUser {
  name: string
  password: string
  role: 'viewer' | 'operator'
}

const boardUsers = z.string().transform((text, context): BoardUser[] => {
  return text.split(',').flatMap((entry, index) => {
    // The password may hold colons, a name and a role do not.
    const match = /^\s*([^:\s]+):(.+):(viewer|operator)\s*$/.exec(entry)
    if (match) return [{ name: match[1] as string, password: match[2] as string, role: match[3] as BoardUser['role'] }]
    context.addIssue(`expected name:password:role with role viewer or operator, entry ${index + 1} is not`)
    return []
  })
})

/** All settings, in the order in which they are shown. */
export const SETTINGS = {
  REDIS_URL: {
    schema: redisUrl,
    description: 'Redis or Valkey with the queue. Not set: a private one is started (not with NODE_ENV=production).',
    secret: true,
  },
  QUEUE_NAME: { schema: name, default: 'check-payment', description: 'Name of the BullMQ queue.' },
  QUEUE_PREFIX: {
    schema: z.string().regex(/^\S{1,100}$/, 'expected a prefix of up to 100 characters without spaces'),
    default: 'bull',
    description: 'Prefix of the keys of the queue.',
  },
  PAYMENT_TIMEOUT: {
    schema: duration(1_000, 366 * 86_400_000),
    default: '5m',
    description: 'Deadline of an order whose producer gives none, counted from when it is scheduled.',
  },
  ORDER_STORE: {
    schema: z.enum(['redis', 'postgres'], 'expected redis or postgres'),
    default: 'redis',
    description: 'Who keeps the orders: redis (recorded by schedule) or postgres (your own table).',
  },
  DATABASE_URL: {
    schema: databaseUrl,
    description: 'The database of the orders, for ORDER_STORE=postgres.',
    secret: true,
  },
  ORDERS_TABLE: {
    schema: z
      .string()
      .refine((text) => quoteTable(text) !== undefined, 'expected table, schema.table or "quoted"."names"'),
    default: 'orders',
    description: 'Your orders table, schema-qualified if need be. Names are exact.',
  },
  ORDERS_ID_COLUMN: {
    schema: column,
    default: 'id',
    description: 'text, varchar, uuid, smallint, integer or bigint; with a unique index.',
  },
  ORDERS_STATUS_COLUMN: { schema: column, default: 'status', description: 'text, varchar or an enum.' },
  ORDERS_DEADLINE_COLUMN: {
    schema: column,
    default: 'payment_deadline',
    description: "timestamptz, or timestamp in UTC. Empty: the job's deadline counts, and the sweep finds nothing.",
    emptyIsNone: true,
  },
  ORDERS_PAID_AT_COLUMN: { schema: column, description: 'If set: an order is cancelled only while this is null.' },
  ORDERS_CANCELLED_AT_COLUMN: { schema: column, description: 'If set: written when an order is cancelled.' },
  ORDERS_UNPAID_STATUSES: {
    schema: z
      .string()
      .transform((text) => text.split(','))
      .pipe(z.array(status).min(1)),
    default: 'pending',
    description: 'The statuses, comma-separated, in which an order counts as unpaid. Any other is kept.',
  },
  ORDERS_CANCELLED_STATUS: { schema: status, default: 'cancelled', description: 'The status of a cancelled order.' },
  CANCEL_SQL_FILE: {
    schema: z.string(),
    description: 'Your own statement in place of the built-in one, e.g. to give stock back; see docs/cancel-sql.md.',
  },
  CONCURRENCY: { schema: integer(1, 10_000), default: '500', description: 'Checks in flight at once.' },
  BATCH_SIZE: { schema: integer(1, 1_000), default: '250', description: 'Checks settled in one statement at most.' },
  MAX_ATTEMPTS: {
    schema: integer(1, 1_000),
    default: '10',
    description: 'Failures after which a check is given up. Outages and postponements do not count.',
  },
  SWEEP_EVERY: {
    schema: duration(1_000, 3_600_000),
    default: '60s',
    description: 'How often each process looks in the order store for orders that have been missed.',
  },
  SWEEP_AHEAD: {
    schema: duration(1_000, 7 * 86_400_000),
    default: '10m',
    description: 'Unpaid orders due within this time get a check if they have none. Longer than SWEEP_EVERY.',
  },
  BRAKE_MAX_PER_MINUTE: {
    schema: orOff(integer(1, 100_000_000)),
    default: 'off',
    description: 'Mass-cancel brake: more cancellations within a minute, over all processes, stop all further ones.',
  },
  BRAKE_PAYMENT_SILENCE: {
    schema: orOff(duration(1_000, 30 * 86_400_000)),
    default: 'off',
    description:
      'Mass-cancel brake: if no order has become paid for so long, cancellations stop. Needs a time of payment.',
  },
  DRY_RUN: {
    schema: z.enum(['true', 'false'], 'expected true or false').transform((text) => text === 'true'),
    default: 'false',
    description: 'Decide and report, but cancel nothing.',
  },
  HTTP_HOST: { schema: host, default: '127.0.0.1', description: 'Address of the probes and the board.' },
  HTTP_PORT: {
    schema: integer(0, 65_535),
    default: '3000',
    description: 'Port of the probes and the board; 0: any free one.',
  },
  BOARD_USERS: {
    schema: boardUsers,
    description: 'name:password:role,… for /board, role viewer or operator. Needed unless HTTP_HOST is loopback.',
    secret: true,
  },
  LOG_LEVEL: {
    schema: z.enum(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(', ')}`),
    default: 'info',
    description: 'How much is logged.',
  },
  SHUTDOWN_TIMEOUT: {
    schema: duration(1_000, 3_600_000),
    default: '25s',
    description: 'Time to finish what is under way after SIGTERM. Keep it under the grace period of the orchestrator.',
  },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS

/** Settings of later versions. Refused, so that nobody believes in a brake that is not there. */
const NOT_YET: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    QUEUE_SHARDS: ['1'],
    PAYMENT_GATEWAY: ['none'],
    PAYMENT_URL: [],
    STRIPE_API_KEY: [],
    PAYMENT_GRACE: [],
    ORDERS_URL: [],
    ORDERS_SECRET: [],
    WEBHOOK_URL: [],
    WEBHOOK_SECRET: [],
    EVENT_STREAM: [],
    API_TOKENS: [],
  }),
)

type Value<Row> = Row extends { schema: z.ZodType<infer T, string> }
  ? Row extends { emptyIsNone: true }
    ? T | undefined
    : Row extends { default: string }
      ? T
      : T | undefined
  : never

/** Every setting by its name, and what follows from them. Frozen. */
export type Config = { readonly [Name in SettingName]: Value<(typeof SETTINGS)[Name]> } & {
  readonly production: boolean
  /** The text of CANCEL_SQL_FILE. */
  readonly cancelSql: string | undefined
}

/** Variables as the environment gives them. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads all settings.
 *
 * @param input.env the process environment, which wins over `input.dotenv`, the content of the `.env` file
 * @throws {OrderExpiryError} INVALID_SETTINGS, listing every problem at once and no secret
 */
export function readConfig(input: { env: Environment; dotenv: Environment }): Config {
  const merged: Environment = { ...input.dotenv, ...withoutEmpty(input.env) }
  const problems: string[] = [...findUnknown(input)]
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries<Setting>(SETTINGS)) {
    const text = readText({ name, setting, env: merged, problems })
    if (text === undefined) continue
    const parsed = setting.schema.safeParse(text)
    if (parsed.success) values[name] = parsed.data
    else
      problems.push(
        `${name}: ${[...new Set(parsed.error.issues.map((i) => i.message))].join('; ')}${setting.secret ? '' : `, given ${JSON.stringify(text)}`}`,
      )
  }
  const config = {
    ...values,
    production: merged.NODE_ENV === 'production',
    cancelSql: readCancelSql(values.CANCEL_SQL_FILE, problems),
  } as Config
  problems.push(...findContradictions(config).filter((found) => !problems.some((known) => sameSetting(known, found))))
  if (problems.length > 0) {
    const list = problems.map((problem) => `\n  ${problem}`).join('')
    throw new OrderExpiryError(
      'INVALID_SETTINGS',
      `${problems.length} problem${problems.length > 1 ? 's' : ''} in the settings:${list}`,
    )
  }
  return deepFreeze(config)
}

/** A host that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function readText(options: {
  name: string
  setting: Setting
  env: Environment
  problems: string[]
}): string | undefined {
  const { name, setting, env, problems } = options
  const text = env[name]
  const file = setting.secret ? env[`${name}_FILE`] : undefined
  if (file) {
    if (text) {
      problems.push(`${name}: expected either ${name} or ${name}_FILE, given both`)
      return undefined
    }
    try {
      return readFileSync(file, 'utf8').trim()
    } catch (error) {
      problems.push(`${name}_FILE: expected a readable file, given ${JSON.stringify(file)} (${codeOf(error)})`)
      return undefined
    }
  }
  if (text === '' && setting.emptyIsNone) return undefined
  return text || setting.default
}

function readCancelSql(path: unknown, problems: string[]): string | undefined {
  if (typeof path !== 'string') return undefined
  try {
    const sql = readFileSync(path, 'utf8').trim()
    if (sql === '') problems.push(`CANCEL_SQL_FILE: expected a statement, ${JSON.stringify(path)} is empty`)
    return sql
  } catch (error) {
    problems.push(`CANCEL_SQL_FILE: expected a readable file, given ${JSON.stringify(path)} (${codeOf(error)})`)
    return undefined
  }
}

function sameSetting(a: string, b: string): boolean {
  const setting = (problem: string) => problem.slice(0, problem.indexOf(':')).replace(/_FILE$/, '')
  return setting(a) === setting(b)
}

/** What no row of the table can see alone. A setting with a problem of its own is undefined here. */
function findContradictions(config: Config): string[] {
  const problems: string[] = []
  const { ORDER_STORE, DATABASE_URL, ORDERS_UNPAID_STATUSES, ORDERS_CANCELLED_STATUS, HTTP_HOST, BOARD_USERS } = config
  if (config.production && config.REDIS_URL === undefined) {
    problems.push('REDIS_URL: expected with NODE_ENV=production, where no embedded Redis is started; given none')
  }
  if (ORDER_STORE === 'postgres' && DATABASE_URL === undefined) {
    problems.push('DATABASE_URL: expected with ORDER_STORE=postgres, given none')
  }
  if (config.SWEEP_AHEAD <= config.SWEEP_EVERY) {
    problems.push(`SWEEP_AHEAD: expected longer than SWEEP_EVERY (${formatDuration(config.SWEEP_EVERY)})`)
  }
  if (config.BRAKE_PAYMENT_SILENCE && ORDER_STORE === 'postgres' && config.ORDERS_PAID_AT_COLUMN === undefined) {
    problems.push('BRAKE_PAYMENT_SILENCE: expected only with ORDERS_PAID_AT_COLUMN, which tells when an order was paid')
  }
  if (ORDERS_UNPAID_STATUSES?.includes(ORDERS_CANCELLED_STATUS)) {
    problems.push(
      `ORDERS_CANCELLED_STATUS: expected none of ORDERS_UNPAID_STATUSES, given ${JSON.stringify(ORDERS_CANCELLED_STATUS)}`,
    )
  }
  if (config.CANCEL_SQL_FILE !== undefined && ORDER_STORE === 'redis') {
    problems.push('CANCEL_SQL_FILE: expected only with ORDER_STORE=postgres')
  }
  if (HTTP_HOST !== undefined && !isLoopback(HTTP_HOST) && BOARD_USERS === undefined) {
    problems.push(
      `BOARD_USERS: expected at least one user, because HTTP_HOST ${HTTP_HOST} can be reached from other machines`,
    )
  }
  return problems
}

/** Families of names that are only ours. Kubernetes writes some of the same form for a Service called "orders". */
const OUR_FAMILIES = /^(ORDERS|SWEEP|BRAKE)_/
const KUBERNETES_LINKS = /_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/

function* findUnknown({ env, dotenv }: { env: Environment; dotenv: Environment }): Generator<string> {
  const known = new Set([...Object.keys(SETTINGS), 'NODE_ENV'])
  for (const [name, setting] of Object.entries<Setting>(SETTINGS)) if (setting.secret) known.add(`${name}_FILE`)
  const merged = { ...dotenv, ...withoutEmpty(env) }
  for (const [name, text] of Object.entries(merged)) {
    if (known.has(name) || text === undefined) continue
    const later = NOT_YET.get(name.replace(/_FILE$/, ''))
    if (later) {
      if (text !== '' && !later.includes(text))
        yield `${name}: expected not to be set, this version has no such setting`
      continue
    }
    const inFile = Object.hasOwn(dotenv, name)
    // DRY_RUN written wrongly would cancel in earnest; the other later names resemble too much that is not ours.
    const near = nearest(name, [...known, ...(inFile ? NOT_YET.keys() : ['DRY_RUN'])])
    const looksLikeOurs = OUR_FAMILIES.test(name) && !KUBERNETES_LINKS.test(name)
    // Another program's variable may resemble one of ours; it matters where ours is not set.
    const typo = near !== undefined && !merged[near] && !name.startsWith('HTTPS_')
    if (inFile || looksLikeOurs || typo) {
      yield `${name}: unknown setting${near ? `; did you mean ${near}?` : ''}`
    }
  }
}

/** Which of the known names somebody probably meant. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: { name: string; away: number } | undefined
  for (const candidate of known) {
    const away = distance(name, candidate)
    if (away <= 2 && away < (best?.away ?? 3)) best = { name: candidate, away }
  }
  return best?.name
}

function withoutEmpty(env: Environment): Environment {
  // An empty variable says "none" only for the settings for which that means something.
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, text]) => text !== '' || (SETTINGS as Record<string, Setting>)[name]?.emptyIsNone,
    ),
  )
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error)
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}
