import { z } from 'zod'
import { OrderExpiryError } from './errors.ts'
import { chosenGateway, GATEWAY_SETTINGS, gatewayContradictions, settingsOfOthers } from './gateways/gateways.ts'
import { LOG_LEVELS } from './observe/log.ts'
import { SINK_SETTINGS, sinkContradictions } from './outbox/sinks.ts'
import { WANTED_EVENTS_SETTINGS } from './outbox/wanted-events.ts'
import { parseRedisAddress, type RedisAddress, withCertificates } from './redis/address.ts'
import { type NamedQueue, namedQueue } from './redis/keys.ts'
import { certificateProblems, type TlsFiles } from './runtime/certificates.ts'
import { formatDuration } from './runtime/duration.ts'
import { count } from './runtime/human-numbers.ts'
import { percentDecoded } from './runtime/percent.ts'
import { apiTokens, boardUsers, metricsToken, otlpHeaders } from './settings/credentials.ts'
import {
  type Environment,
  findStray,
  mergeEnvironments,
  readValues,
  type Settings,
  type SettingValues,
} from './settings/setting.ts'
import { findUnknownNames, knownNames } from './settings/unknown-names.ts'
import * as value from './settings/values.ts'
import {
  DEFAULT_STORE,
  type DerivedSettings,
  deriveSettings,
  KINDS,
  STORE_NAMES,
  STORE_SETTINGS,
} from './stores/kinds.ts'

/** Where an embedded Redis keeps its data, below the current directory. */
export const DATA_DIR = '.data'

/** All settings, in the order in which they are shown. `.env.example` says what each is for. */
export const SETTINGS = {
  REDIS_URL: { schema: value.redisUrl, secret: true },
  REDIS_TLS_CA_FILE: { schema: z.string() },
  REDIS_TLS_CERT_FILE: { schema: z.string() },
  REDIS_TLS_KEY_FILE: { schema: z.string() },
  REDIS_TLS_SERVERNAME: { schema: value.serverName },
  QUEUE_NAME: { schema: value.queueName, default: 'check-payment' },
  QUEUE_PREFIX: { schema: value.queuePrefix, default: 'bull' },
  PAYMENT_TIMEOUT: { schema: value.duration(1_000, 366 * 86_400_000), default: '5m' },
  ORDER_STORE: { schema: z.enum(STORE_NAMES, `expected ${STORE_NAMES.join(' or ')}`), default: DEFAULT_STORE },
  ...STORE_SETTINGS,
  ...GATEWAY_SETTINGS,
  ...SINK_SETTINGS,
  ...WANTED_EVENTS_SETTINGS,
  KEEP_EVENTS: { schema: value.orZero(value.duration(1_000, 366 * 86_400_000)), default: '1d' },
  CONCURRENCY: { schema: value.integer(1, 10_000), default: '1000' },
  BATCH_SIZE: { schema: value.integer(1, 1_000), default: '250' },
  MAX_ATTEMPTS: { schema: value.integer(1, 1_000), default: '10' },
  CLAIMS: { schema: z.enum(['auto', 'wrapped'], 'expected auto or wrapped'), default: 'auto' },
  SWEEP_EVERY: { schema: value.duration(1_000, 3_600_000), default: '60s' },
  SWEEP_AHEAD: { schema: value.duration(1_000, 7 * 86_400_000), default: '10m' },
  IDLE_POLL_EVERY: { schema: value.duration(1_000, 20_000), default: '5s' },
  BRAKE_MAX_PER_MINUTE: { schema: value.orOff(value.integer(1, 100_000_000)), default: 'off' },
  BRAKE_PAYMENT_SILENCE: { schema: value.orOff(value.duration(1_000, 30 * 86_400_000)), default: 'off' },
  DRY_RUN: { schema: value.trueOrFalse, default: 'false' },
  HTTP_HOST: { schema: value.host, default: '127.0.0.1' },
  HTTP_PORT: { schema: value.integer(0, 65_535), default: '3000' },
  PUBLIC_URL: { schema: value.publicUrl, isPrivate: true }, // somebody may write a password into it
  TRUSTED_PROXY: { schema: value.networks },
  TRUSTED_PROXY_USER_HEADER: { schema: value.headerName },
  TRUSTED_PROXY_OPERATORS: { schema: value.names },
  API_TOKENS: { schema: apiTokens, secret: true },
  API_RATE_LIMIT: { schema: value.orOff(value.integer(1, 1_000_000)), default: '500' },
  BOARD_USERS: { schema: boardUsers, secret: true, hasHashes: true },
  METRICS_TOKEN: { schema: metricsToken, secret: true },
  BOARD_ENVIRONMENT: { schema: z.string().max(40, 'expected up to 40 characters') },
  LOG_LEVEL: { schema: z.enum(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(', ')}`), default: 'info' },
  OTEL_EXPORTER_OTLP_ENDPOINT: { schema: value.otlpEndpoint, isPrivate: true }, // somebody may write a key into it
  OTEL_EXPORTER_OTLP_HEADERS: { schema: otlpHeaders, secret: true },
  OTEL_SERVICE_NAME: { schema: z.string().max(200, 'expected up to 200 characters') },
  SHUTDOWN_TIMEOUT: { schema: value.duration(1_000, 3_600_000), default: '25s' },
} as const satisfies Settings

export type SettingName = keyof typeof SETTINGS

const KNOWN_NAMES = knownNames(SETTINGS)

/** Settings that have nothing to do with which tables and indexes there are. */
const BESIDE_TABLES: ReadonlySet<string> = new Set(
  Object.keys(SETTINGS)
    .filter((name) => !(name in STORE_SETTINGS) && name !== 'ORDER_STORE' && name !== 'BRAKE_PAYMENT_SILENCE')
    .concat('CANCEL_SQL_FILE', 'REOPEN_SQL_FILE', 'REOPEN_WITHIN')
    .map((name) => settingOf(`${name}:`)),
)

/** Every setting by its name, and what follows from them. Frozen. */
export type Config = SettingValues<typeof SETTINGS> & DerivedSettings & { readonly production: boolean }

/** Whether a variable means something to us. All others belong to other programs. */
export function isSetting(name: string): boolean {
  return KNOWN_NAMES.has(name)
}

/**
 * The process environment wins over the `.env` file.
 *
 * @param input.problems those of the file, a line each
 * @param input.only `tables`: for who opens the tables and nothing else; a setting of another part that is wrong or missing does not matter, and
 *   has no value. Default: all settings matter
 * @throws {OrderExpiryError} INVALID_SETTINGS: all problems, no secret
 */
export function readConfig(input: {
  env: Environment
  dotenv: Environment
  problems?: readonly string[]
  only?: 'tables' | undefined
}): Config {
  const env = mergeEnvironments(SETTINGS, input)
  const others = settingsOfOthers(env.PAYMENT_GATEWAY)
  const inFile = (input.problems ?? []).filter((problem) => !others.has(settingOf(problem)))
  const problems = [...inFile, ...findUnknownNames({ settings: SETTINGS, env })]
  const stray = findStray(env.NODE_ENV ?? '')
  if (stray) problems.push(`NODE_ENV: ${stray}`)
  const values = readValues({ settings: SETTINGS, env, problems })
  const derived = deriveSettings(values, problems)
  const config = { ...values, ...derived, production: env.NODE_ENV === 'production' } as Config
  const wrong = new Set(problems.map(settingOf))
  problems.push(...findContradictions(config, wrong).filter((problem) => !wrong.has(settingOf(problem))))
  const told = input.only ? problems.filter((problem) => !BESIDE_TABLES.has(settingOf(problem))) : problems
  if (told.length > 0) {
    const list = told.map((problem) => `\n  ${problem}`).join('')
    throw new OrderExpiryError('INVALID_SETTINGS', `${count(told.length, 'problem')} in the settings:${list}`)
  }
  return deepFreeze(config)
}

/** The queue that the settings name. */
export function queueOf(config: Pick<Config, 'QUEUE_NAME' | 'QUEUE_PREFIX'>): NamedQueue {
  return namedQueue({ name: config.QUEUE_NAME, prefix: config.QUEUE_PREFIX })
}

/** The Redis that the settings name; undefined: none. */
export function redisAddressOf(config: Pick<Config, 'REDIS_URL' | RedisTls>): RedisAddress | undefined {
  const { REDIS_URL: url, REDIS_TLS_SERVERNAME: servername } = config
  const files = redisTlsFiles(config)
  const isPlain = Object.values({ ...files, servername }).every((part) => part === undefined)
  return url === undefined || isPlain ? url : withCertificates(url, { ...files, servername })
}

type RedisTls = 'REDIS_TLS_CA_FILE' | 'REDIS_TLS_CERT_FILE' | 'REDIS_TLS_KEY_FILE' | 'REDIS_TLS_SERVERNAME'

function redisTlsFiles(config: Pick<Config, RedisTls>): TlsFiles {
  return { ca: config.REDIS_TLS_CA_FILE, cert: config.REDIS_TLS_CERT_FILE, key: config.REDIS_TLS_KEY_FILE }
}

/** What is wrong with the settings for the certificates of Redis, a line each. */
function redisTlsProblems(config: Config): string[] {
  const given = Object.keys(SETTINGS).find((name) => name.startsWith('REDIS_TLS_') && config[name as SettingName])
  if (!given) return []
  const { tls } = config.REDIS_URL === undefined ? {} : parseRedisAddress(config.REDIS_URL)
  if (!tls)
    return [`${given}: expected with a REDIS_URL that begins with rediss://, without which nothing is encrypted`]
  if ('rejectUnauthorized' in tls)
    return [`${given}: expected without ssl_cert_reqs=none in REDIS_URL, with which no certificate is looked at`]
  return certificateProblems('REDIS', redisTlsFiles(config))
}

/** The texts in these settings that must never be seen, in each form in which they may be. */
export function secretsOf(config: Config): string[] {
  const {
    API_TOKENS = [],
    BOARD_USERS = [],
    METRICS_TOKEN,
    WEBHOOK_SECRET = [],
    PAYMENT_SECRET = [],
    OTEL_EXPORTER_OTLP_HEADERS = {},
  } = config
  const headers = Object.values(OTEL_EXPORTER_OTLP_HEADERS)
  const texts = Object.entries(SETTINGS).map(([name, row]) => 'secret' in row && config[name as SettingName])
  return [
    ...texts.flatMap((text) => (typeof text === 'string' ? secretsIn(text) : [])),
    ...WEBHOOK_SECRET,
    ...PAYMENT_SECRET,
    ...API_TOKENS.map(({ token }) => token),
    ...BOARD_USERS.map(({ password }) => password),
    ...(METRICS_TOKEN?.token === undefined ? [] : [METRICS_TOKEN.token]),
    ...headers.flatMap((value) => [value, encodeURIComponent(value), value.replace(/^(Bearer|Basic) /i, '')]),
  ]
}

/**
 * All of it, or of a URL the password: as it is written, as it is sent, and as the URL has it. Where it may end at one "@" or another, all of
 * them. Names of hosts, which follow, are no secret.
 */
function secretsIn(text: string): string[] {
  const [, rest] = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/is.exec(text) ?? []
  if (rest === undefined) return [text]
  const from = /^[^:@/]*:/.exec(rest)?.[0].length
  const ends = from === undefined ? [] : [...rest.matchAll(/@/g)].map(({ index }) => index)
  const written = [
    ...ends.map((end) => rest.slice(from, end)),
    ...[...rest.matchAll(/[?&](?:ssl)?password=([^&#]*)/g)].map(([, one = '']) => one),
  ]
  const found = written.flatMap((form) => {
    const url = new URL('http://h')
    const sent = percentDecoded(form)
    url.password = sent
    return [form, sent, percentDecoded(form.replaceAll('+', ' ')), url.password]
  })
  return [...new Set(found.filter((form) => form !== ''))]
}

/** Whether only programs of this machine come in: it listens on loopback, and no proxy in front brings others. */
export function isOnlyLocal(config: Pick<Config, 'HTTP_HOST' | 'PUBLIC_URL' | 'TRUSTED_PROXY'>): boolean {
  const { HTTP_HOST, PUBLIC_URL, TRUSTED_PROXY } = config
  const isPublic = PUBLIC_URL !== undefined && !isLoopback(new URL(PUBLIC_URL).hostname)
  return isLoopback(HTTP_HOST) && !isPublic && TRUSTED_PROXY === undefined
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function settingOf(problem: string): string {
  return problem.slice(0, problem.indexOf(':')).replace(/_FILE$/, '')
}

/** What no row of the table can see alone. A setting that is `wrong` by itself is undefined here. */
function findContradictions(config: Config, wrong: ReadonlySet<string>): string[] {
  const problems: string[] = []
  const { HTTP_HOST } = config
  if (config.production && config.REDIS_URL === undefined) {
    problems.push('REDIS_URL: expected with NODE_ENV=production, where no embedded Redis is started; given none')
  }
  if (!wrong.has('REDIS_URL')) problems.push(...redisTlsProblems(config))
  if (config.SWEEP_AHEAD <= config.SWEEP_EVERY) {
    problems.push(`SWEEP_AHEAD: expected longer than SWEEP_EVERY (${formatDuration(config.SWEEP_EVERY)})`)
  }
  const asked = {
    watchesPayments: config.BRAKE_PAYMENT_SILENCE !== undefined,
    closesPayments: config.PAYMENT_GATEWAY === undefined ? undefined : chosenGateway(config) !== undefined,
  }
  for (const name of STORE_NAMES) {
    problems.push(...KINDS[name].contradictions(config, { isChosen: name === config.ORDER_STORE, ...asked }))
  }
  problems.push(...gatewayContradictions(config))
  problems.push(...sinkContradictions(config, queueOf(config)))
  if (config.TRUSTED_PROXY_USER_HEADER !== undefined && config.TRUSTED_PROXY === undefined) {
    problems.push('TRUSTED_PROXY: expected the address of the proxy that sets TRUSTED_PROXY_USER_HEADER, given none')
  }
  if (config.TRUSTED_PROXY_OPERATORS !== undefined && config.TRUSTED_PROXY_USER_HEADER === undefined) {
    problems.push(
      'TRUSTED_PROXY_USER_HEADER: expected the header that names the users of TRUSTED_PROXY_OPERATORS, given none',
    )
  }
  const { BOARD_USERS, API_TOKENS, TRUSTED_PROXY_USER_HEADER } = config
  const hasUsers = BOARD_USERS ?? API_TOKENS ?? TRUSTED_PROXY_USER_HEADER ?? wrong.has('API_TOKENS')
  if (HTTP_HOST !== undefined && !isLoopback(HTTP_HOST) && !hasUsers) {
    problems.push(
      `BOARD_USERS: expected at least one user, or a token in API_TOKENS, because HTTP_HOST ${HTTP_HOST} can be reached from other machines`,
    )
  }
  return problems
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}
