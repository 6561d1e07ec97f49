import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parse } from 'dotenv'
import {
  type Config,
  isLoopback,
  isOnlyLocal,
  readConfig,
  SETTINGS,
  type SettingName,
  secretsOf,
} from '../../src/config.ts'
import { OrderExpiryError } from '../../src/errors.ts'
import { LOG_LEVELS } from '../../src/observe/log.ts'
import type { Environment } from '../../src/settings/setting.ts'
import { asRoot } from '../helpers/as-root.ts'
import { CertificateAuthority } from '../helpers/certificates.ts'
import { NAMES_OF_OTHERS } from './names-of-others.ts'

const NAMES = Object.keys(SETTINGS) as SettingName[]
const DEFAULTS: Record<SettingName, string | undefined> = Object.fromEntries(
  Object.entries(SETTINGS).map(([name, setting]) => [name, 'default' in setting ? setting.default : undefined]),
) as Record<SettingName, string | undefined>
const SECRETS = NAMES.filter((name) => 'secret' in SETTINGS[name])
/** Where a character more makes a token long enough. */
const T = 'fifteen-letters'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'order-expiry-config-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

/** The path of a file with this content. */
function file(content: string): string {
  const path = join(dir, `${files++}`)
  writeFileSync(path, content)
  return path
}
let files = 0

const read = (env: Environment = {}, dotenv: Environment = {}): Config => readConfig({ env, dotenv })

/** The problems of these settings, one line each; empty if there is none. */
function problems(env: Environment, dotenv: Environment = {}): string[] {
  try {
    readConfig({ env, dotenv })
    return []
  } catch (error) {
    if (!(error instanceof OrderExpiryError) || error.code !== 'INVALID_SETTINGS') throw error
    const [title, ...lines] = error.message.split('\n  ')
    expect(title).toBe(`${lines.length} problem${lines.length > 1 ? 's' : ''} in the settings:`)
    return lines
  }
}

describe('without any setting', () => {
  test('everything has its default', () => {
    expect(read()).toEqual({
      REDIS_URL: undefined,
      REDIS_TLS_CA_FILE: undefined,
      REDIS_TLS_CERT_FILE: undefined,
      REDIS_TLS_KEY_FILE: undefined,
      REDIS_TLS_SERVERNAME: undefined,
      QUEUE_NAME: 'check-payment',
      QUEUE_PREFIX: 'bull',
      PAYMENT_TIMEOUT: 300_000,
      ORDER_STORE: 'redis',
      DATABASE_URL: undefined,
      DATABASE_TLS_CA_FILE: undefined,
      DATABASE_TLS_CERT_FILE: undefined,
      DATABASE_TLS_KEY_FILE: undefined,
      DATABASE_TLS_SERVERNAME: undefined,
      ORDERS_TABLE: 'orders',
      ORDERS_ID_COLUMN: 'id',
      ORDERS_STATUS_COLUMN: 'status',
      ORDERS_DEADLINE_COLUMN: 'payment_deadline',
      ORDERS_DEADLINE_AFTER: undefined,
      ORDERS_DEADLINE_UNIT: undefined,
      ORDERS_TIME_ZONE: undefined,
      ORDERS_PAID_AT_COLUMN: undefined,
      ORDERS_CANCELLED_AT_COLUMN: undefined,
      ORDERS_PAYMENT_COLUMN: undefined,
      ORDERS_METHOD_COLUMN: undefined,
      ORDERS_AMOUNT_COLUMN: undefined,
      ORDERS_UNPAID_STATUSES: ['pending'],
      ORDERS_CANCELLED_STATUS: 'cancelled',
      ORDERS_CONDITION: undefined,
      ORDERS_SET: undefined,
      OUTBOX_TABLE: 'order_expiry_outbox',
      CANCEL_SQL_FILE: undefined,
      REOPEN_SQL_FILE: undefined,
      REOPEN_WITHIN: 900_000,
      PAYMENT_GATEWAY: 'none',
      PAYMENT_GRACE: 900_000,
      PAYMENT_RATE: 25,
      AUTHORISED: 'paid',
      CAPTURE_CHECKS_ORDER: false,
      PAYMENT_URL: undefined,
      PAYMENT_SECRET: undefined,
      STRIPE_API_KEY: undefined,
      STRIPE_API_URL: 'https://api.stripe.com',
      ALIPAY_APP_ID: undefined,
      ALIPAY_PRIVATE_KEY: undefined,
      ALIPAY_PUBLIC_KEY: undefined,
      ALIPAY_TIME_EXPIRE: undefined,
      ALIPAY_API_URL: 'https://openapi.alipay.com/gateway.do',
      WECHAT_MCHID: undefined,
      WECHAT_SERIAL_NO: undefined,
      WECHAT_PRIVATE_KEY: undefined,
      WECHAT_PLATFORM_KEY: undefined,
      WECHAT_TIME_EXPIRE: undefined,
      WECHAT_API_URL: 'https://api.mch.weixin.qq.com',
      WEBHOOK_URL: undefined,
      WEBHOOK_SECRET: undefined,
      WEBHOOK_ALLOW_PRIVATE: false,
      EVENT_STREAM: undefined,
      EVENT_QUEUE: undefined,
      EVENTS: [
        'order.cancelled',
        'order.payment_reminder',
        'order.payment_found',
        'order.paid_late',
        'order.check_failed',
        'brake.engaged',
      ],
      KEEP_EVENTS: 86_400_000,
      CONCURRENCY: 1_000,
      BATCH_SIZE: 250,
      MAX_ATTEMPTS: 10,
      CLAIMS: 'auto',
      SWEEP_EVERY: 60_000,
      SWEEP_AHEAD: 600_000,
      IDLE_POLL_EVERY: 5_000,
      BRAKE_MAX_PER_MINUTE: undefined,
      BRAKE_PAYMENT_SILENCE: undefined,
      DRY_RUN: false,
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: 3000,
      PUBLIC_URL: undefined,
      TRUSTED_PROXY: undefined,
      TRUSTED_PROXY_USER_HEADER: undefined,
      TRUSTED_PROXY_OPERATORS: undefined,
      API_TOKENS: undefined,
      API_RATE_LIMIT: 500,
      BOARD_USERS: undefined,
      METRICS_TOKEN: undefined,
      BOARD_ENVIRONMENT: undefined,
      LOG_LEVEL: 'info',
      OTEL_EXPORTER_OTLP_ENDPOINT: undefined,
      OTEL_EXPORTER_OTLP_HEADERS: undefined,
      OTEL_SERVICE_NAME: undefined,
      SHUTDOWN_TIMEOUT: 25_000,
      production: false,
      cancelSql: undefined,
      reopenSql: undefined,
    })
  })

  test.each(NAMES.filter((name) => !('empty' in SETTINGS[name])))('an empty %s counts as not set', (name) => {
    expect(read({ [name]: '' })).toEqual(read())
    expect(read({}, { [name]: '' })).toEqual(read())
  })

  test.each<SettingName>([
    'ORDERS_STATUS_COLUMN',
    'ORDERS_DEADLINE_COLUMN',
    'ORDERS_UNPAID_STATUSES',
    'ORDERS_CANCELLED_STATUS',
  ])('an empty %s says that there is none', (name) => {
    expect(read({ [name]: '' })[name]).toBeUndefined()
    expect(read({}, { [name]: '' })[name]).toBeUndefined()
    expect(read({ [name]: '' }, { [name]: 'due' })[name]).toBeUndefined()
  })

  test.each<SettingName>(['ORDERS_TABLE', 'ORDERS_ID_COLUMN', 'OUTBOX_TABLE'])('an empty %s is refused', (name) => {
    const problem = [`${name}: expected a name, given an empty text`]
    expect(problems({ [name]: '' })).toEqual(problem)
    expect(problems({}, { [name]: '' })).toEqual(problem)
    expect(problems({ [name]: '' }, { [name]: 'shop' })).toEqual(problem)
  })
})

describe('a setting', () => {
  test('of the environment wins over that of .env', () => {
    expect(read({ HTTP_PORT: '8080' }, { HTTP_PORT: '9090', LOG_LEVEL: 'debug' })).toMatchObject({
      HTTP_PORT: 8080,
      LOG_LEVEL: 'debug',
    })
  })

  test('that is empty in the environment leaves that of .env', () => {
    expect(read({ HTTP_PORT: '' }, { HTTP_PORT: '9090' }).HTTP_PORT).toBe(9090)
  })

  test.each<[name: SettingName, text: string, value: unknown]>([
    ['REDIS_URL', 'rediss://shop:secret@redis:6380/1', 'rediss://shop:secret@redis:6380/1'],
    ['REDIS_URL', 'unix:///run/redis.sock', 'unix:///run/redis.sock'],
    ['QUEUE_NAME', 'payments', 'payments'],
    ['QUEUE_NAME', 'q', 'q'],
    ['QUEUE_NAME', 'q'.repeat(100), 'q'.repeat(100)],
    ['QUEUE_PREFIX', 'p', 'p'],
    ['QUEUE_PREFIX', 'p'.repeat(100), 'p'.repeat(100)],
    ['ORDERS_ID_COLUMN', 'x'.repeat(63), 'x'.repeat(63)],
    ['ORDERS_CANCELLED_STATUS', 'X', 'X'],
    ['QUEUE_PREFIX', '{shop}:bull', '{shop}:bull'],
    ['ALIPAY_TIME_EXPIRE', '0', 0],
    ['WECHAT_TIME_EXPIRE', '2m', 120_000],
    ['EVENT_STREAM', 'shop:events', 'shop:events'],
    ['EVENT_QUEUE', 'order-events', 'order-events'],
    ['EVENTS', 'order.kept, brake.engaged', ['order.kept', 'brake.engaged']],
    ['PAYMENT_TIMEOUT', '15m', 900_000],
    ['PAYMENT_TIMEOUT', '366d', 31_622_400_000],
    ['PAYMENT_TIMEOUT', '1000ms', 1_000],
    [
      'DATABASE_URL',
      'postgresql://shop:secret@db/shop?sslmode=require',
      'postgresql://shop:secret@db/shop?sslmode=require',
    ],
    ['ORDERS_TABLE', 'shop.orders', 'shop.orders'],
    ['ORDERS_TABLE', '"my.shop"."Orders"', '"my.shop"."Orders"'],
    ['ORDERS_UNPAID_STATUSES', 'pending, awaiting payment ,new', ['pending', 'awaiting payment', 'new']],
    ['ORDERS_UNPAID_STATUSES', '0,1', ['0', '1']],
    ['ORDERS_DEADLINE_AFTER', '30m', 1_800_000],
    ['ORDERS_DEADLINE_AFTER', '366d', 31_622_400_000],
    ['ORDERS_DEADLINE_UNIT', 's', 's'],
    ['ORDERS_DEADLINE_UNIT', 'ms', 'ms'],
    ['ORDERS_TIME_ZONE', 'America/New_York', 'America/New_York'],
    ['ORDERS_TIME_ZONE', 'UTC', 'UTC'],
    [
      'ORDERS_CONDITION',
      `"paymentStatus" = 'UNPAID' AND deleted_at IS NULL`,
      `"paymentStatus" = 'UNPAID' AND deleted_at IS NULL`,
    ],
    ['ORDERS_CONDITION', 'NOT paid', 'NOT paid'],
    ['ORDERS_SET', `version = version + 1, "updatedAt" = now()`, `version = version + 1, "updatedAt" = now()`],
    ['OUTBOX_TABLE', 'shop."Expired"', 'shop."Expired"'],
    ['CONCURRENCY', '1', 1],
    ['CONCURRENCY', '10000', 10_000],
    ['SWEEP_EVERY', '1s', 1_000],
    ['SWEEP_AHEAD', '7d', 604_800_000],
    ['BRAKE_MAX_PER_MINUTE', '1', 1],
    ['BRAKE_MAX_PER_MINUTE', '100000000', 100_000_000],
    ['BRAKE_MAX_PER_MINUTE', 'off', undefined],
    ['BRAKE_PAYMENT_SILENCE', '15m', 900_000],
    ['BRAKE_PAYMENT_SILENCE', 'off', undefined],
    ['DRY_RUN', 'true', true],
    ['DRY_RUN', 'false', false],
    ['HTTP_PORT', '0', 0],
    ['HTTP_PORT', '65535', 65_535],
    ['HTTP_HOST', '::1', '::1'],
    ['HTTP_HOST', 'localhost', 'localhost'],
    ['HTTP_HOST', '127.9.9.9', '127.9.9.9'],
    ['PUBLIC_URL', 'https://OPS.example.com/order-expiry/', 'https://ops.example.com/order-expiry'],
    ['PUBLIC_URL', 'http://ops.example.com:8080/', 'http://ops.example.com:8080'],
    ['TRUSTED_PROXY', '10.0.3.7, fd00::/8,0.0.0.0/0', ['10.0.3.7/32', 'fd00::/8', '0.0.0.0/0']],
    ['TRUSTED_PROXY', 'loopback', ['127.0.0.0/8', '::1/128']],
    ['LOG_LEVEL', 'silent', 'silent'],
    ['SHUTDOWN_TIMEOUT', '1s', 1_000],
    ['API_RATE_LIMIT', 'off', undefined],
    ['API_RATE_LIMIT', '1', 1],
    ['BOARD_ENVIRONMENT', 'staging', 'staging'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318', 'http://collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'https://otlp.example.com/otlp/', 'https://otlp.example.com/otlp/'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'X-Key=a%20b=, team = shop', { 'x-key': 'a b=', team: 'shop' }],
    ['OTEL_SERVICE_NAME', 'expiry-eu', 'expiry-eu'],
    [
      'API_TOKENS',
      `shop:${T}1, till:${T}2:2027-01-31, pos:${T}3:2027-01-31T12:00:00+02:00`,
      [
        { name: 'shop', token: `${T}1` },
        { name: 'till', token: `${T}2`, expiresAt: Date.UTC(2027, 1, 1) },
        { name: 'pos', token: `${T}3`, expiresAt: Date.UTC(2027, 0, 31, 10) },
      ],
    ],
    ['API_TOKENS', `a:${T}1:pay`, [{ name: 'a', token: `${T}1`, scopes: ['pay'] }]],
    ['API_TOKENS', `a:${T}1:schedule+read`, [{ name: 'a', token: `${T}1`, scopes: ['schedule', 'read'] }]],
    [
      'API_TOKENS',
      `a:${T}1:read:2027-01-31`,
      [{ name: 'a', token: `${T}1`, scopes: ['read'], expiresAt: Date.UTC(2027, 1, 1) }],
    ],
    [
      'API_TOKENS',
      `a:${T}1:2027-01-31T12:00:00+02:00:pay+read`,
      [{ name: 'a', token: `${T}1`, scopes: ['pay', 'read'], expiresAt: Date.UTC(2027, 0, 31, 10) }],
    ],
    ['METRICS_TOKEN', `${T}1`, { token: `${T}1` }],
    ['METRICS_TOKEN', 'open', {}],
    [
      'BOARD_USERS',
      'ann:a:b:c:d:e:f:g:operator, bob:twelve-chars:viewer',
      [
        { name: 'ann', password: 'a:b:c:d:e:f:g', role: 'operator' },
        { name: 'bob', password: 'twelve-chars', role: 'viewer' },
      ],
    ],
  ])('%s takes %j', (name, text, value) => {
    expect(read({ [name]: text })[name]).toEqual(value)
    expect(read({}, { [name]: text })[name]).toEqual(value)
  })

  test.each<[name: SettingName, text: string, expected: RegExp]>([
    ['REDIS_URL', 'localhost:6379', /expected redis:/],
    ['REDIS_URL', 'http://redis', /expected redis:/],
    ['REDIS_URL', 'redis://:100%@redis', /expected redis:/],
    ['QUEUE_NAME', 'a:b', /expected a name/],
    ['QUEUE_NAME', 'a b', /expected a name/],
    ['QUEUE_NAME', 'q'.repeat(101), /expected a name/],
    ['QUEUE_PREFIX', 'a b', /expected a prefix/],
    ['QUEUE_PREFIX', 'p'.repeat(101), /expected a prefix/],
    ['PAYMENT_TIMEOUT', '5', /expected a duration such as/],
    ['PAYMENT_TIMEOUT', '5 minutes', /expected a duration such as/],
    ['PAYMENT_TIMEOUT', '0s', /expected a duration/],
    ['PAYMENT_TIMEOUT', '999ms', /expected a duration/],
    ['PAYMENT_TIMEOUT', '367d', /expected a duration/],
    ['ORDER_STORE', 'mysql', /expected redis or postgres/],
    ['ORDER_STORE', 'Postgres', /expected redis or postgres/],
    ['ORDERS_TABLE', 'a.b.c', /expected table/],
    ['ORDERS_TABLE', '"orders', /expected table/],
    ['ORDERS_ID_COLUMN', 'x'.repeat(64), /63 bytes/],
    ['ORDERS_ID_COLUMN', 'ä'.repeat(32), /63 bytes/],
    ['ORDERS_UNPAID_STATUSES', 'pending,,new', /expected a status/],
    ['ORDERS_CANCELLED_STATUS', ' ', /expected a status/],
    ['ORDERS_DEADLINE_AFTER', '30', /expected a duration/],
    ['ORDERS_DEADLINE_AFTER', '0s', /expected a duration/],
    ['ORDERS_DEADLINE_AFTER', '367d', /expected a duration/],
    ['ORDERS_DEADLINE_UNIT', 'seconds', /expected s or ms/],
    ['ORDERS_DEADLINE_UNIT', 'S', /expected s or ms/],
    ['ORDERS_TIME_ZONE', 'New York', /IANA time zone/],
    ['ORDERS_TIME_ZONE', '+02:00', /IANA time zone/],
    ['ORDERS_TIME_ZONE', 'Mars/Olympus', /IANA time zone/],
    ['ORDERS_CONDITION', 'paid; DROP TABLE orders', /expected no ";"/],
    ['ORDERS_CONDITION', 'true) OR (true', /opening parenthesis/],
    ['ORDERS_CONDITION', 'EXISTS (SELECT FROM payments)', /same row, no SELECT; name a view/],
    ['ORDERS_CONDITION', 'NOT paid, NOT deleted', /one expression/],
    ['ORDERS_SET', 'version + 1', /column = expression/],
    ['ORDERS_SET', 'version = version + 1,', /column = expression/],
    ['ORDERS_SET', 'note = $$x$$', /expected no "\$"/],
    ['OUTBOX_TABLE', 'a.b.c', /expected table/],
    ['CONCURRENCY', '0', /from 1 to 10000/],
    ['CONCURRENCY', '10001', /from 1 to 10000/],
    ['CONCURRENCY', '1.5', /whole number/],
    ['CONCURRENCY', '-1', /whole number/],
    ['CONCURRENCY', '1e3', /whole number/],
    ['CONCURRENCY', '0x10', /whole number/],
    ['CONCURRENCY', 'many', /whole number/],
    ['BATCH_SIZE', '1001', /from 1 to 1000/],
    ['MAX_ATTEMPTS', '0', /from 1 to 1000/],
    ['CLAIMS', 'wraped', /expected auto or wrapped/],
    ['SWEEP_EVERY', '999ms', /expected a duration/],
    ['SWEEP_EVERY', 'off', /expected a duration/],
    ['SWEEP_AHEAD', '8d', /expected a duration/],
    ['BRAKE_MAX_PER_MINUTE', '0', /from 1 to 100000000, or off/],
    ['BRAKE_MAX_PER_MINUTE', 'OFF', /or off/],
    ['BRAKE_PAYMENT_SILENCE', '0', /expected a duration.*, or off/],
    ['BRAKE_PAYMENT_SILENCE', '31d', /expected a duration.*, or off/],
    ['DRY_RUN', '1', /expected true or false/],
    ['DRY_RUN', 'TRUE', /expected true or false/],
    ['DRY_RUN', 'yes', /expected true or false/],
    ['HTTP_PORT', '65536', /from 0 to 65535/],
    ['HTTP_PORT', 'tcp://10.0.0.1:80', /whole number/],
    ['HTTP_HOST', 'http://localhost', /expected an IP address or a host name/],
    ['LOG_LEVEL', 'verbose', new RegExp(LOG_LEVELS.join(', '))],
    ['SHUTDOWN_TIMEOUT', '999ms', /expected a duration/],
    ['SHUTDOWN_TIMEOUT', '2h', /expected a duration/],
    ['API_TOKENS', 'shop', /name:token/],
    ['API_TOKENS', 'shop:', /name:token/],
    ['API_TOKENS', ':t1', /name:token/],
    ['API_TOKENS', `shop:${T},`, /entry 2/],
    ['API_TOKENS', `shop:${T}:tomorrow`, /2027-01-31/],
    ['API_TOKENS', `shop:${T}:2027-02-30`, /2027-01-31/],
    ['API_TOKENS', `shop:${T},till:${T}`, /a token of its own/],
    ['API_TOKENS', `shop:${T}`, /a token of at least 16 characters; entry 1 has a shorter one/],
    ['API_TOKENS', `till:${T}1,shop:1`, /at least 16 characters; entry 2/],
    ...[
      'pya',
      'PAY',
      'pay+',
      'pay+rest',
      'pay:read',
      'pay:',
      'pay:2027',
      '2027-01-31:2027-01-31',
      'pay:2027-01-31:pay',
    ].map((limits): [SettingName, string, RegExp] => [
      'API_TOKENS',
      `shop:${T}1:${limits}`,
      /:scope \(schedule, pay, read/,
    ]),
    ['METRICS_TOKEN', T, /a token of at least 16 characters.* or the word open/],
    ['METRICS_TOKEN', 'Open', /the word open/],
    ['METRICS_TOKEN', `${T} in words`, /without spaces/],
    ['PUBLIC_URL', 'ops.example.com', /http\(s\):\/\/host/],
    ['PUBLIC_URL', 'ftp://ops.example.com', /http\(s\):\/\/host/],
    ['PUBLIC_URL', 'https://ann:secret@ops.example.com', /without a user/],
    ['PUBLIC_URL', 'https://ops.example.com/x?y=1', /"\?" or "#"/],
    ['PUBLIC_URL', 'https://ops.example.com/a//b', /http\(s\):\/\/host/],
    ['PUBLIC_URL', 'https://ops.example.com/board', /begins with none of ours/],
    ['PUBLIC_URL', 'https://ops.example.com/orders/admin', /begins with none of ours/],
    ['TRUSTED_PROXY', 'proxy.internal', /10\.0\.0\.0\/8.*entry 1/],
    ['TRUSTED_PROXY', 'true', /entry 1/],
    ['TRUSTED_PROXY', '10.0.0.1,', /entry 2/],
    ['TRUSTED_PROXY', '10.0.0.0/33', /entry 1/],
    ['TRUSTED_PROXY', '::1/129,10.0.0.0/', /entry 1 is not; .*entry 2/],
    ['PAYMENT_GATEWAY', 'paypal', /expected one of none, stripe, alipay, wechat, http/],
    ['ALIPAY_TIME_EXPIRE', '16d', /expected a duration.*, or 0, or off/],
    ['EVENT_STREAM', 'my events', /without spaces/],
    ['EVENT_STREAM', 'bull:check-payment:wait', /no key of the queue check-payment/],
    ['EVENT_STREAM', '{bull:check-payment}:events', /no key of the queue check-payment/],
    ['EVENT_QUEUE', 'shop:events', /without ":"/],
    ['EVENT_QUEUE', 'check-payment', /another queue than QUEUE_NAME/],
    ['EVENTS', 'order.canceled', /order\.cancelled, order\.kept, .*entry 1 is not/],
    ['EVENTS', 'order.cancelled,', /entry 2 is not/],
    ['API_RATE_LIMIT', '0', /from 1 to 1000000, or off/],
    ['BOARD_ENVIRONMENT', 'x'.repeat(41), /up to 40 characters/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', /http:\/\/host:4318/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317', /http:\/\/host:4318/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318?key=1', /http:\/\/host:4318/],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'key', /name=value/],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'key=1,,', /entry 2 is not; .*entry 3/],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'key=%E0%A4%A', /percent-encoded/],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'my key=1', /name=value/],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'key=a%0Ab', /entry 1/],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'key=%E4%B8%AD', /entry 1/],
    ['OTEL_SERVICE_NAME', 'x'.repeat(201), /up to 200/],
    ['BOARD_USERS', 'ann', /name:password:role/],
    ['BOARD_USERS', 'ann:secret', /name:password:role/],
    ['BOARD_USERS', 'ann:secret:admin', /viewer or operator/],
    ['BOARD_USERS', 'ann::viewer', /name:password:role/],
    ['BOARD_USERS', 'ann:secret-of-ann:viewer,', /entry 2/],
    ['BOARD_USERS', 'ann:elevenchars:viewer', /a password of at least 12 characters; entry 1 has a shorter one/],
    ['BOARD_USERS', 'ann:secret-of-ann:viewer,ann:secret-of-another:operator', /a name of its own/],
  ])('%s refuses %j, alone, saying what was expected and what was given', (name, text, expected) => {
    const [problem, ...others] = problems({ [name]: text })
    expect(others).toEqual([])
    expect(problem).toMatch(new RegExp(`^${name}: expected `))
    expect(problem).toMatch(expected)
    const isShown = !SECRETS.includes(name) && !['OTEL_EXPORTER_OTLP_ENDPOINT', 'PUBLIC_URL'].includes(name)
    if (isShown) expect(problem).toContain(`given ${JSON.stringify(text)}`)
  })

  test('that is bad in several ways says each of them once', () => {
    expect(problems({ ORDERS_UNPAID_STATUSES: ',,' })).toEqual([
      'ORDERS_UNPAID_STATUSES: expected a status, given ",,"',
    ])
  })

  test('that is bad is never replaced by the next best one', () => {
    expect(problems({ HTTP_PORT: 'x' }, { HTTP_PORT: '8080' })).toHaveLength(1)
  })
})

describe('several problems', () => {
  test('are listed at once, in the order of the settings, each with one line', () => {
    const found = problems(
      { CONCURRENCY: 'many', LOG_LEVEL: 'loud', ORDER_STORE: 'mysql', HTTP_HOST: '0.0.0.0', ORDERS_TABEL: 'x' },
      { PAYMENT_TIMEOUT: '5', QUEUE_NMAE: 'x' },
    )
    expect(found.map((problem) => problem.split(':')[0])).toEqual([
      expect.stringMatching(/^(QUEUE_NMAE|ORDERS_TABEL)$/),
      expect.stringMatching(/^(QUEUE_NMAE|ORDERS_TABEL)$/),
      'PAYMENT_TIMEOUT',
      'ORDER_STORE',
      'CONCURRENCY',
      'LOG_LEVEL',
      'BOARD_USERS',
    ])
  })

  test.each<[what: string, env: Environment]>([
    ['a bad REDIS_URL in production', { NODE_ENV: 'production', REDIS_URL: 'x' }],
    ['a bad DATABASE_URL with postgres', { ORDER_STORE: 'postgres', DATABASE_URL: 'x' }],
    ['bad BOARD_USERS on an open host', { HTTP_HOST: '0.0.0.0', BOARD_USERS: 'x' }],
    ['several bad BOARD_USERS', { BOARD_USERS: 'x,y,z' }],
    ['REDIS_URL_FILE unreadable in production', { NODE_ENV: 'production', REDIS_URL_FILE: '/nowhere' }],
    ['DATABASE_URL_FILE unreadable with postgres', { ORDER_STORE: 'postgres', DATABASE_URL_FILE: '/nowhere' }],
    ['bad API_TOKENS on an open host', { HTTP_HOST: '0.0.0.0', API_TOKENS: 'x' }],
    ['BOARD_USERS_FILE unreadable on an open host', { HTTP_HOST: '0.0.0.0', BOARD_USERS_FILE: '/nowhere' }],
    ['CANCEL_SQL_FILE unreadable and for another store', { CANCEL_SQL_FILE: '/nowhere' }],
    ['REDIS_URL twice, once badly', { REDIS_URL: 'redis://h', REDIS_URL_FILE: '/etc/hostname' }],
  ])('are not made of one: %s', (_, env) => {
    expect(problems(env)).toHaveLength(1)
  })
})

describe('the sweep must look further ahead than it is away', () => {
  test.each([
    ['60s', '60s'],
    ['10m', '59s'],
  ])('SWEEP_EVERY=%s with SWEEP_AHEAD=%s is refused', (every, ahead) => {
    expect(problems({ SWEEP_EVERY: every, SWEEP_AHEAD: ahead })).toEqual([
      expect.stringContaining('SWEEP_AHEAD: expected longer than SWEEP_EVERY'),
    ])
  })

  test('SWEEP_EVERY=1s with SWEEP_AHEAD=1001ms is taken', () => {
    expect(problems({ SWEEP_EVERY: '1s', SWEEP_AHEAD: '1001ms' })).toEqual([])
  })
})

describe('BRAKE_PAYMENT_SILENCE needs a time of payment', () => {
  const postgres = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db/shop', BRAKE_PAYMENT_SILENCE: '10m' }

  test('and is refused where postgres has no such column', () => {
    expect(problems(postgres)).toEqual([
      expect.stringContaining('BRAKE_PAYMENT_SILENCE: expected only with ORDERS_PAID'),
    ])
  })

  test('and is taken where it has, and with the redis store, which keeps one', () => {
    expect(problems({ ...postgres, ORDERS_PAID_AT_COLUMN: 'paid_at' })).toEqual([])
    expect(problems({ BRAKE_PAYMENT_SILENCE: '10m' })).toEqual([])
  })
})

describe('an unknown setting', () => {
  test.each<[given: string, meant: SettingName | `${SettingName}_FILE`]>([
    ['REDIS_URI', 'REDIS_URL'],
    ['QUEUE_NAMES', 'QUEUE_NAME'],
    ['PAYMENT_TIMOUT', 'PAYMENT_TIMEOUT'],
    ['ORDERSTORE', 'ORDER_STORE'],
    ['ORDERS_CANCELED_STATUS', 'ORDERS_CANCELLED_STATUS'],
    ['ORDERS_CANCELED_AT_COLUMN', 'ORDERS_CANCELLED_AT_COLUMN'],
    ['CONCURENCY', 'CONCURRENCY'],
    ['HTTP_HOTT', 'HTTP_HOST'], // two changes away from HTTP_PORT
    ['HTTP_PORS', 'HTTP_PORT'], // two changes away from HTTP_HOST
    ['DATABASE_URL_FIEL', 'DATABASE_URL_FILE'],
    ['REDIS_ULR', 'REDIS_URL'],
    ['DRYRUN', 'DRY_RUN'],
    ['DRY_RUNN', 'DRY_RUN'],
    ['orders_table', 'ORDERS_TABLE'],
    ['ORDERS_PAID_ON_COLUMN', 'ORDERS_PAID_AT_COLUMN'],
    ['ORDERS_STATUS_COL', 'ORDERS_STATUS_COLUMN'],
    ['BRAKE_MAX_PER_MIN', 'BRAKE_MAX_PER_MINUTE'],
    ['BOARD_USER', 'BOARD_USERS'],
    ['ORDER_TABEL', 'ORDERS_TABLE'],
    ['BREAK_MAX_PER_MINUTE', 'BRAKE_MAX_PER_MINUTE'],
    ['DATABSE_URL', 'DATABASE_URL'],
    ['EDIS_URL', 'REDIS_URL'],
    ['API_TOKENS_FIEL', 'API_TOKENS_FILE'],
    ['TRUSTED_PROXI', 'TRUSTED_PROXY'],
    ['DATABASE_TLS_CRT_FILE', 'DATABASE_TLS_CERT_FILE'],
    ['SHUTDOWN_TIMOUT', 'SHUTDOWN_TIMEOUT'],
  ])('%s is refused, from the environment and from .env: did you mean %s?', (given, meant) => {
    const problem = [`${given}: unknown setting; did you mean ${meant}?`]
    expect(problems({ [given]: 'x' })).toEqual(problem)
    expect(problems({}, { [given]: 'x' })).toEqual(problem)
  })

  test.each(NAMES_OF_OTHERS)('%s is none of our business, neither in the environment nor in .env', (name) => {
    expect(problems({ [name]: 'tcp://10.0.0.1:80' })).toEqual([])
    expect(problems({}, { [name]: 'x' })).toEqual([])
  })

  test('that resembles one of ours is left to its program where ours is set', () => {
    expect(problems({ REDIS_URI: 'x', REDIS_URL: 'redis://h' })).toEqual([])
    expect(problems({ REDIS_URI: 'x', REDIS_URL_FILE: file('redis://h') })).toEqual([])
    expect(problems({ REDIS_URL_FIEL: 'x', REDIS_URL: 'redis://h' })).toEqual([])
  })

  test('is refused in whichever of the two it stands, once', () => {
    const problem = ['ORDERS_TABEL: unknown setting; did you mean ORDERS_TABLE?']
    expect(problems({ ORDERS_TABEL: '1' }, { ORDERS_TABEL: '2' })).toEqual(problem)
  })
})

describe('quotes that were meant for a shell', () => {
  const values: [name: string, value: string][] = [
    ['ORDERS_CANCELLED_STATUS', 'cancelled'],
    ['ORDERS_UNPAID_STATUSES', 'pending,new'],
    ['ORDERS_ID_COLUMN', 'id'],
    ['REDIS_URL', 'redis://:hunter2@redis:6379'],
    ['DATABASE_URL', 'postgres://shop:hunter2@db/shop'],
    ['DATABASE_URL_FILE', '/run/secrets/hunter2'],
    ['API_TOKENS', 'shop:hunter2-hunter2-hunter2'],
    ['BOARD_USERS', 'ann:hunter2-hunter2:viewer'],
    ['BOARD_ENVIRONMENT', 'staging'],
    ['DRY_RUN', 'true'],
    ['NODE_ENV', 'production'],
    ['CANCEL_SQL_FILE', '/etc/cancel.sql'],
  ]
  const quotings: [how: string, quote: (value: string) => string][] = [
    ['double', (value) => `"${value}"`],
    ['single', (value) => `'${value}'`],
    ['a backtick', (value) => `\`${value}\``],
    ['only at the beginning', (value) => `"${value}`],
    ['only at the end', (value) => `${value}"`],
    ['behind a space', (value) => ` "${value}" `],
    ['around each entry', (value) => value.replace(/[^,]+/g, '"$&"')],
  ]
  const cases = values.flatMap(([name, value]) => quotings.map(([how, quote]) => [name, how, quote(value)] as const))

  test.each(cases)('%s with quotes, %s, is refused, naming quotes and showing no secret', (name, _, text) => {
    for (const found of [problems({ [name]: text }), problems({}, { [name]: text })]) {
      expect(found).toEqual([expect.stringMatching(new RegExp(`^${name}: expected no quotes around it`))])
      expect(found.join()).not.toContain('hunter2')
    }
  })

  test.each(SECRETS)('in the file of %s are refused too', (name) => {
    expect(problems({ [`${name}_FILE`]: file('"hunter2"\n') })).toEqual([
      expect.stringMatching(new RegExp(`^${name}: expected no quotes around it`)),
    ])
  })

  test.each([
    ['ORDERS_TABLE', '"my.schema"."Order"'],
    ['OUTBOX_TABLE', '"Expired"'],
    ['ORDERS_CONDITION', `"paymentStatus" = 'UNPAID'`],
    ['ORDERS_CONDITION', '"isOpen"'],
    ['ORDERS_CONDITION', '("is open")'],
    ['ORDERS_SET', `"closedBy" = 'us'`],
    ['ORDERS_SET', '"a" = 1, "b" = "c"'],
    ['OUTBOX_TABLE', '"public"."shop.expired"'],
    ['BOARD_USERS', 'ann:"long"-password:viewer'],
    ['API_TOKENS', `shop:a"${T}"`],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'etag=%22abc%22'],
    ['REDIS_URL', 'redis://:%22abc%22@h'],
  ])('are no quotes that SQL needs: %s=%s', (name, text) => {
    expect(problems({ [name]: text })).toEqual([])
  })

  test.each([
    ['ORDERS_CONDITION', `'NOT paid'`],
    ['ORDERS_SET', `'x = 1'`],
    ['ORDERS_CONDITION', '"deleted_at IS NULL"'],
    ['ORDERS_CONDITION', ' "total<9" '],
    ['ORDERS_CONDITION', '“NOT paid”'],
    ['ORDERS_SET', '"version=version+1"'],
    ['ORDERS_TABLE', `'orders'`],
    ['ORDERS_TABLE', '“orders”'],
    ['ORDERS_TABLE', '`shop`.`orders`'],
    ['OUTBOX_TABLE', '"shop.expired"'],
    ['OUTBOX_TABLE', `shop.'expired'`],
  ])('are refused around SQL: %s=%s', (name, text) => {
    expect(problems({ [name]: text })).toEqual([expect.stringContaining('expected no quotes around it')])
  })
})

describe('quotes around a secret within a value', () => {
  const cases: [name: string, text: (quoted: string) => string][] = [
    ['API_TOKENS', (quoted) => `shop:${quoted}`],
    ['API_TOKENS', (quoted) => `shop:${quoted}:pay`],
    ['API_TOKENS', (quoted) => `till:other-hunter2-other, shop:${quoted}:read:2027-01-31`],
    ['BOARD_USERS', (quoted) => `ann:${quoted}:viewer`],
    ['OTEL_EXPORTER_OTLP_HEADERS', (quoted) => `api-key=${quoted}`],
    ['OTEL_EXPORTER_OTLP_HEADERS', (quoted) => `a=b, api-key = ${quoted}`],
    ['REDIS_URL', (quoted) => `redis://shop:${quoted}@redis`],
    ['DATABASE_URL', (quoted) => `postgres://shop:${quoted}@db/shop`],
  ]
  const quotings = ['"', "'", '`'].flatMap((quote) => cases.map(([name, text]) => [name, quote, text] as const))
  test.each(quotings)('%s with %s is refused, naming quotes and showing no secret', (name, quote, text) => {
    const value = text(`${quote}hunter2-hunter2-hunter2${quote}`)
    const found = problems({ ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db/shop', [name]: value })
    expect(found).toEqual([expect.stringMatching(new RegExp(`^${name}: expected .*in quotes`))])
    expect(found.join()).not.toContain('hunter2')
  })
})

describe("the shop's own DATABASE_URL", () => {
  const given = ['mysql://shop:hunter2@db/shop', 'file:./hunter2.db', 'mongodb+srv://shop:hunter2@db', 'hunter2']
  test.each(given)('is none of our business without ORDER_STORE=postgres: %s', (url) => {
    expect(problems({ DATABASE_URL: url })).toEqual([])
    expect(problems({}, { DATABASE_URL: url })).toEqual([])
  })

  test.each(given)('is refused with ORDER_STORE=postgres, without showing it: %s', (url) => {
    const found = [
      ...problems({ ORDER_STORE: 'postgres', DATABASE_URL: url }),
      ...problems({ ORDER_STORE: 'postgres', DATABASE_URL_FILE: file(url) }),
    ]
    expect(found).toHaveLength(2)
    expect(found.join()).toMatch(/^DATABASE_URL: expected postgres:.*DATABASE_URL: expected postgres:/)
    expect(found.join()).not.toContain('hunter2')
  })
})

describe('what was meant for somebody who reads a value before us', () => {
  test.each([
    ['ORDERS_CANCELLED_STATUS', 'cancelled # the status'],
    ['ORDERS_UNPAID_STATUSES', 'pending,new #'],
    ['BOARD_ENVIRONMENT', 'staging\t# for now'],
    ['CANCEL_SQL_FILE', '/etc/cancel.sql # ours'],
    ['ORDERS_TABLE', 'shop.orders # live'],
    ['OUTBOX_TABLE', 'shop.expired #'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'api-key=hunter2 # prod'],
    ['API_TOKENS', `shop:${T}1 # prod`],
    ['METRICS_TOKEN', `${T}1 # prod`],
    ['REDIS_URL', 'redis://:hunter2@redis/0 # prod'],
    ['API_TOKENS_FILE', '/run/secrets/tokens # prod'],
    ['NODE_ENV', 'production # for good'],
  ])('a comment: %s=%s', (name, text) => {
    expect(problems({ [name]: text })).toEqual([
      expect.stringMatching(new RegExp(`^${name}: expected no comment behind it.*docker run --env-file`)),
    ])
  })

  test.each([
    'postgres://u:hunter2@db/shop # prod',
    'postgres://u:hunter2@db # prod',
    'postgres://u:hunter2 #2@db/shop',
  ])('a comment in a DATABASE_URL that matters: %s', (url) => {
    const found = problems({ ORDER_STORE: 'postgres', DATABASE_URL: url })
    expect(found).toEqual([expect.stringMatching(/^DATABASE_URL: expected .*comment on a line of its own/)])
    expect(found.join()).not.toContain('hunter2')
    expect(problems({ DATABASE_URL: url })).toEqual([])
  })

  test.each([
    ['REDIS_URL', 'redis://:hun\nter2@h'],
    ['REDIS_URL', 'unix:///run/a\tb.sock'],
    ['DATABASE_URL', 'postgres://u:hun\r\nter2@db/shop'],
    ['PUBLIC_URL', 'https://ops\n.example.com'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://coll\tector:4318'],
  ])('a line break or a tab, which would be left out of a URL in silence: %s=%j', (name, text) => {
    const found = problems({ ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db/shop', [name]: text })
    expect(found).toEqual([expect.stringMatching(new RegExp(`^${name}: expected `))])
    expect(found.join()).not.toMatch(/ter2/)
  })

  test.each([
    ['REDIS_URL', `redis://:\${HUNTER2}@h`],
    ['DATABASE_URL', `postgres://\${HUNTER2:-x}@h/shop`],
    ['API_TOKENS', `shop:hunter2hunter2\${HUNTER2}`],
    ['ORDERS_CANCELLED_STATUS', '$(HUNTER2)'],
  ])('a reference to another variable, of which nothing is shown: %s=%s', (name, text) => {
    const found = problems({ [name]: text })
    expect(found).toEqual([expect.stringMatching(`^${name}: expected no reference`)])
    expect(found.join()).not.toMatch(/hunter2/i)
  })

  test.each([
    ['ORDERS_CANCELLED_STATUS', '“cancelled”'],
    ['ORDERS_UNPAID_STATUSES', '["pending","new"]'],
  ])('quotes of a word processor or of JSON: %s=%s', (name, text) => {
    expect(problems({ [name]: text })).toEqual([expect.stringMatching(`^${name}: expected no quotes around it`)])
  })

  test.each([
    ['BOARD_ENVIRONMENT', 'shop #2'],
    ['ORDERS_CONDITION', 'flags # 4 = 0'],
    ['BOARD_USERS', 'ann:one # two three:viewer'],
    ['REDIS_URL', 'redis://:a$b@h'],
    ['ORDERS_ID_COLUMN', 'order$id'],
  ])('but not %s=%s', (name, text) => {
    expect(problems({ [name]: text })).toEqual([])
  })
})

describe('a secret', () => {
  const VALID = {
    REDIS_URL: 'redis://:hunter2@redis:6379',
    DATABASE_URL: 'postgres://shop:hunter2@db/shop',
    PAYMENT_SECRET: `whsec_${'hunter2'.repeat(5)}`,
    STRIPE_API_KEY: 'sk_live_hunter2',
    ALIPAY_PRIVATE_KEY: 'hunter2',
    ALIPAY_PUBLIC_KEY: 'hunter2',
    WECHAT_PRIVATE_KEY: 'hunter2',
    WECHAT_PLATFORM_KEY: 'hunter2',
    WEBHOOK_SECRET: `whsec_${'hunter2'.repeat(5)}`,
    API_TOKENS: 'shop:hunter2-hunter2-hunter2',
    BOARD_USERS: 'ann:hunter2-hunter2-hunter2:viewer',
    METRICS_TOKEN: 'hunter2-hunter2-hunter2',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=hunter2',
  }

  test('is each of those that hold a password', () => {
    expect(SECRETS).toEqual(Object.keys(VALID))
  })

  test.each(Object.entries(VALID))(
    '%s is also read from the file that its _FILE names, without the line feed at the end',
    (name, secret) => {
      const env = { [`${name}_FILE`]: file(`${secret}\n`) }
      expect(read(env)).toEqual(read({ [name]: secret }))
      expect(read({}, env)).toEqual(read({ [name]: secret }))
    },
  )

  test.each([0o644, 0o440, 0o400])('may be in a file of mode %o, behind a link and whoever it belongs to', (mode) => {
    const path = file(`shop:${T}1`)
    chmodSync(path, mode)
    symlinkSync(path, `${path}-link`)
    if (mode === 0o644) asRoot('chown', '12345', path) // as Vault's agent leaves it
    expect(read({ API_TOKENS_FILE: `${path}-link` })).toMatchObject({ API_TOKENS: [{ name: 'shop' }] })
  })

  test.each(SECRETS)('%s in a file that everybody can write is refused', (name) => {
    const path = file(VALID[name as keyof typeof VALID])
    chmodSync(path, 0o646)
    expect(problems({ [`${name}_FILE`]: path })).toEqual([
      `${name}_FILE: expected a file that not everybody can write: chmod o-w it, given ${JSON.stringify(path)}`,
    ])
  })

  test.each(Object.entries(VALID))('%s given both ways is refused', (name, text) => {
    expect(problems({ [name]: text, [`${name}_FILE`]: file(text) })).toEqual([
      `${name}: expected either ${name} or ${name}_FILE, given both`,
    ])
  })

  test.each(SECRETS)('%s in a file that cannot be read is refused, saying why', (name) => {
    const path = join(dir, 'nowhere')
    expect(problems({ [`${name}_FILE`]: path })).toEqual([
      expect.stringMatching(`^${name}_FILE: expected a readable file, given ${JSON.stringify(path)} .*ENOENT`),
    ])
    expect(problems({ [`${name}_FILE`]: dir })).toEqual([expect.stringContaining('EISDIR')])
  })

  test.each(SECRETS)('%s in an empty file is refused, not taken for none', (name) => {
    expect(problems({ [`${name}_FILE`]: file('\n') })).toEqual([
      expect.stringMatching(new RegExp(`^${name}: expected`)),
    ])
  })

  test.each(Object.entries(VALID))('%s with an empty _FILE is read from the variable itself', (name, text) => {
    expect(read({ [name]: text, [`${name}_FILE`]: '' })).toEqual(read({ [name]: text }))
  })

  test.each<[name: SettingName, text: string]>([
    ['REDIS_URL', 'http://shop:hunter2@redis'],
    ['REDIS_URL', 'redis://shop:/hunter2@redis'],
    ['REDIS_URL', 'hunter2'],
    ['API_TOKENS', 'shop:hunter2:hunter2'],
    ['API_TOKENS', 'a:hunter2,b:hunter2'],
    ['BOARD_USERS', 'ann:hunter2'],
    ['BOARD_USERS', 'ann:hunter2:admin,bob:hunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'my key=hunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'x-key=hunter2,%E0%A4%A'],
  ])('%s is not in the message about %j', (name, text) => {
    const found = [...problems({ [name]: text }), ...problems({ [`${name}_FILE`]: file(text) })]
    expect(found).toHaveLength(2)
    expect(found.join()).not.toContain('hunter2')
  })

  test.each(Object.entries(VALID).filter(([name]) => name !== 'OTEL_EXPORTER_OTLP_ENDPOINT'))(
    '%s is known to the log, which leaves it out',
    (name, text) => {
      expect(secretsOf(read({ [name]: text }))).toContainEqual(
        expect.stringMatching(/^(whsec_|sk_live_)?hunter2(-?hunter2)*$/),
      )
    },
  )

  test('is not the word that opens /metrics: it is in many a log line', () => {
    expect(secretsOf(read({ METRICS_TOKEN: 'open' }))).toEqual([])
  })

  test('is known in each form in which it may be seen', () => {
    const config = read({
      REDIS_URL: 'redis://:p%40ss-word@redis:6379',
      DATABASE_URL: 'postgres://db/shop?password=in%20the%20query',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-key=two%20words',
    })
    expect(secretsOf(config)).toEqual(
      expect.arrayContaining(['p%40ss-word', 'p@ss-word', 'in the query', 'two words', 'two%20words']),
    )
  })

  test.each([
    ['100%x', ['100%x']],
    ['p^w%40x', ['p^w%40x', 'p^w@x', 'p%5Ew%40x']],
  ])('%s as a password in a URL is known as it is written and as it is sent', (password, forms) => {
    const config = read({ ORDER_STORE: 'postgres', DATABASE_URL: `postgres://shop:${password}@db/shop` })
    expect(secretsOf(config).sort()).toEqual(forms.sort())
  })

  test('of several hosts is known, wherever it may end', () => {
    const url = 'postgres://shop:hunt@er%402@a:1,b:2/shop?user=x@y&sslmode=disable'
    const secrets = secretsOf(read({ ORDER_STORE: 'postgres', DATABASE_URL: url }))
    expect(secrets).toEqual(expect.arrayContaining(['hunt@er%402', 'hunt@er@2', 'hunt']))
  })

  test('behind a scheme is known without it', () => {
    expect(secretsOf(read({ OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20hunter2' }))).toContain('hunter2')
  })

  test('that is in the endpoint by mistake is not in the message either', () => {
    expect(problems({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/?key=hunter2' })).toEqual([
      expect.not.stringContaining('hunter2'),
    ])
  })

  test('of an unknown name is not in the message', () => {
    expect(problems({ ORDERS_TABEL: 'hunter2' }, { QUEUE_NMAE: 'hunter2' }).join()).not.toContain('hunter2')
  })
})

describe('settings that contradict each other', () => {
  const postgres = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db/shop' }

  test('orders without a status, and nothing that says which are unpaid and what ends that', () => {
    const holds = { ...postgres, ORDERS_STATUS_COLUMN: '' }
    expect(problems(holds)).toEqual([
      expect.stringMatching(/^ORDERS_CONDITION: expected with an empty ORDERS_STATUS_COLUMN.*closed_at IS NULL/),
      expect.stringMatching(/^ORDERS_SET: expected with an empty ORDERS_STATUS_COLUMN.*closed_at = now\(\)/),
    ])
    const rest = { ORDERS_CONDITION: 'closed_at IS NULL', ORDERS_SET: 'closed_at = now()' }
    expect(problems({ ...holds, ...rest })).toEqual([])
    expect(problems({ ...holds, ORDERS_CONDITION: 'NOT closed', CANCEL_SQL_FILE: file('SELECT 1') })).toEqual([])
    expect(problems({ ORDERS_STATUS_COLUMN: '' })).toEqual([])
  })

  test('a status, and none that is unpaid or cancelled', () => {
    expect(problems({ ...postgres, ORDERS_UNPAID_STATUSES: '', ORDERS_CANCELLED_STATUS: '' })).toEqual([
      expect.stringMatching(/^ORDERS_UNPAID_STATUSES: expected at least one/),
      expect.stringMatching(/^ORDERS_CANCELLED_STATUS: expected one/),
    ])
  })

  test('a duration after no column', () => {
    expect(problems({ ...postgres, ORDERS_DEADLINE_COLUMN: '', ORDERS_DEADLINE_AFTER: '30m' })).toEqual([
      expect.stringMatching(/^ORDERS_DEADLINE_AFTER: expected only with ORDERS_DEADLINE_COLUMN/),
    ])
  })

  test('assignments beside a statement of the shop', () => {
    expect(problems({ ...postgres, ORDERS_SET: 'x = 1', CANCEL_SQL_FILE: file('SELECT 1') })).toEqual([
      expect.stringMatching(/^ORDERS_SET: expected to be empty with CANCEL_SQL_FILE/),
    ])
  })

  test('an embedded Redis in production', () => {
    expect(problems({ NODE_ENV: 'production' })).toEqual([
      expect.stringMatching(/^REDIS_URL: expected with NODE_ENV=production/),
    ])
    expect(problems({}, { NODE_ENV: 'production' })).toHaveLength(1)
    expect(read({ NODE_ENV: 'production', REDIS_URL: 'redis://h' }).production).toBe(true)
    expect(read({ NODE_ENV: 'development' }).production).toBe(false)
  })

  test('ORDER_STORE=postgres without a DATABASE_URL', () => {
    expect(problems({ ORDER_STORE: 'postgres' })).toEqual([
      expect.stringMatching(/^DATABASE_URL: expected with ORDER_STORE=postgres/),
    ])
    expect(problems({ ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db/shop' })).toEqual([])
  })

  test('a cancelled status that counts as unpaid', () => {
    expect(problems({ ...postgres, ORDERS_UNPAID_STATUSES: 'pending,void', ORDERS_CANCELLED_STATUS: 'void' })).toEqual([
      expect.stringMatching(/^ORDERS_CANCELLED_STATUS: expected none of ORDERS_UNPAID_STATUSES, given "void"/),
    ])
  })

  test.each(['0.0.0.0', '::', '10.0.0.7', 'shop.internal'])('HTTP_HOST=%s without BOARD_USERS', (host) => {
    expect(problems({ HTTP_HOST: host })).toEqual([expect.stringMatching(/^BOARD_USERS: expected at least one user/)])
    expect(problems({ HTTP_HOST: host, BOARD_USERS: 'ann:secret-of-ann:viewer' })).toEqual([])
    expect(problems({ HTTP_HOST: host, API_TOKENS: 'shop:secret-of-the-shop' })).toEqual([])
  })

  test('a header that names users, but no proxy that may send it', () => {
    const header = { TRUSTED_PROXY_USER_HEADER: 'X-Forwarded-User' }
    expect(problems(header)).toEqual([expect.stringMatching(/^TRUSTED_PROXY: expected the address/)])
    expect(problems({ ...header, HTTP_HOST: '0.0.0.0', TRUSTED_PROXY: '10.0.0.0/8' })).toEqual([])
    expect(problems({ TRUSTED_PROXY_OPERATORS: 'bob' })).toEqual([
      expect.stringMatching(/^TRUSTED_PROXY_USER_HEADER: expected the header/),
    ])
  })

  test.each(['Authorization', 'Host', 'X Forwarded User', 'x:y'])('users in the header %s', (name) => {
    expect(problems({ TRUSTED_PROXY: 'loopback', TRUSTED_PROXY_USER_HEADER: name })).toEqual([
      expect.stringMatching(/^TRUSTED_PROXY_USER_HEADER: expected /),
    ])
  })

  test.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1'])('not HTTP_HOST=%s without BOARD_USERS', (host) => {
    expect(problems({ HTTP_HOST: host })).toEqual([])
  })

  test.each(['127.0.0.1.example.com', '128.0.0.1', 'localhost.example.com', '::', ''])('%j is no loopback', (host) => {
    expect(isLoopback(host)).toBe(false)
  })

  test.each([
    [true, {}],
    [true, { PUBLIC_URL: 'http://localhost:8080/expiry' }],
    [false, { HTTP_HOST: '0.0.0.0', METRICS_TOKEN: 'open', API_TOKENS: `a:${T}1` }],
    [false, { PUBLIC_URL: 'https://ops.example.com' }],
    [false, { TRUSTED_PROXY: 'loopback' }],
    [false, { TRUSTED_PROXY: 'loopback', PUBLIC_URL: 'http://localhost:8080' }],
  ])('that only programs of this machine come in is %s with %j', (isLocal, env) => {
    expect(isOnlyLocal(read(env as Record<string, string>))).toBe(isLocal)
  })

  test('a statement of the shop that others could have written', () => {
    const env = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://h/d' }
    const path = file('SELECT 1')
    chmodSync(path, 0o602)
    expect(problems({ ...env, CANCEL_SQL_FILE: path })).toEqual([
      expect.stringMatching(/^CANCEL_SQL_FILE: .*chmod o-w/),
    ])
    chmodSync(path, 0o644)
    asRoot('chown', '0', path)
    expect(read({ ...env, CANCEL_SQL_FILE: path })).toMatchObject({ cancelSql: 'SELECT 1' })
    asRoot('chown', '12345', path)
    expect(problems({ ...env, CANCEL_SQL_FILE: path })).toEqual([
      expect.stringMatching(/^CANCEL_SQL_FILE: .*user 12345/),
    ])
  })

  test('a statement of the shop without a table of the shop', () => {
    expect(problems({ CANCEL_SQL_FILE: file('SELECT 1') })).toEqual([
      expect.stringMatching(/^CANCEL_SQL_FILE: expected only with ORDER_STORE=postgres/),
    ])
  })
})

describe('CANCEL_SQL_FILE', () => {
  const postgres = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db/shop' }

  test('is read', () => {
    const path = file('\nSELECT 1;\n')
    expect(read({ ...postgres, CANCEL_SQL_FILE: path })).toMatchObject({
      CANCEL_SQL_FILE: path,
      cancelSql: 'SELECT 1;',
    })
  })

  test('that is not there, is a directory or is empty is refused', () => {
    expect(problems({ ...postgres, CANCEL_SQL_FILE: '/nowhere' })).toEqual([expect.stringContaining('ENOENT')])
    expect(problems({ ...postgres, CANCEL_SQL_FILE: dir })).toEqual([expect.stringContaining('EISDIR')])
    expect(problems({ ...postgres, CANCEL_SQL_FILE: file(' \n') })).toEqual([expect.stringContaining('is empty')])
  })
})

test('the result is frozen, all the way down', () => {
  const config = read({ BOARD_USERS: 'ann:secret-of-ann:viewer' })
  const parts: unknown[] = [config, config.ORDERS_UNPAID_STATUSES, config.BOARD_USERS, config.BOARD_USERS?.[0]]
  expect(parts.map((part) => typeof part)).toEqual(Array(4).fill('object'))
  expect(parts.filter((part) => !Object.isFrozen(part))).toEqual([])
})

describe('.env.example', () => {
  const text = () => readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  /** The lines that show a setting, each with the comment above it. */
  const entries = () =>
    [...text().matchAll(/((?:^#.*\n)*?)^# ([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
      ([, comment = '', name = '', value = '']) => ({
        name,
        value,
        comment: comment.replace(/^# ?/gm, '').replace(/\s+/g, ' ').trim(),
      }),
    )

  test('lists every setting once, in the order of the table', () => {
    expect(entries().map(({ name }) => name)).toEqual(NAMES)
  })

  test('shows the default of each', () => {
    expect(Object.fromEntries(entries().map(({ name, value }) => [name, value]))).toEqual(
      Object.fromEntries(NAMES.map((name) => [name, DEFAULTS[name] ?? ''])),
    )
  })

  test('describes each', () => {
    for (const { name, comment } of entries())
      expect([name, comment]).toEqual([name, expect.stringMatching(/^\S.+\.$/)])
  })

  test('changes nothing as it is, nor with every line made a setting', () => {
    expect(read({}, parse(text()))).toEqual(read())
    const all = parse(text().replace(/^# (?=[A-Z][A-Z0-9_]*=)/gm, ''))
    expect(Object.keys(all)).toEqual(NAMES)
    expect(read({}, all)).toEqual(read())
  })
})

describe('certificates', () => {
  const ca = new CertificateAuthority()
  const [own, other] = [ca.issue(), ca.issue()]
  afterAll(() => ca.remove())

  const weak = { cert: join(ca.dir, 'weak.crt'), key: join(ca.dir, 'weak.key') }
  const request = ['req', '-x509', '-newkey', 'rsa:512', '-nodes', '-subj', '/CN=weak']
  execFileSync('openssl', [...request, '-keyout', weak.key, '-out', weak.cert], { stdio: 'pipe' })

  const redis = { REDIS_URL: 'rediss://h' }
  const postgres = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://db.example/shop?sslmode=verify-full' }

  test.each<[what: string, env: Record<string, string>, problem: RegExp | undefined]>([
    ['a CA', { ...redis, REDIS_TLS_CA_FILE: ca.file }, undefined],
    ['a certificate and its key', { ...redis, REDIS_TLS_CERT_FILE: own.cert, REDIS_TLS_KEY_FILE: own.key }, undefined],
    ['a file that is not there', { ...redis, REDIS_TLS_CA_FILE: '/nowhere' }, /^REDIS_TLS_CA_FILE: .*ENOENT/],
    [
      'a key in place of a CA',
      { ...redis, REDIS_TLS_CA_FILE: own.key },
      /^REDIS_TLS_CA_FILE: expected .* certificates in PEM/,
    ],
    ['no key', { ...redis, REDIS_TLS_CERT_FILE: own.cert }, /^REDIS_TLS_KEY_FILE: expected with REDIS_TLS_CERT_FILE/],
    [
      'no certificate',
      { ...redis, REDIS_TLS_KEY_FILE: own.key },
      /^REDIS_TLS_CERT_FILE: expected with REDIS_TLS_KEY_FILE/,
    ],
    [
      'the key of another certificate',
      { ...redis, REDIS_TLS_CERT_FILE: own.cert, REDIS_TLS_KEY_FILE: other.key },
      /^REDIS_TLS_KEY_FILE: expected the key of the certificate/,
    ],
    ['an address without TLS', { REDIS_URL: 'redis://h', REDIS_TLS_CA_FILE: ca.file }, /^REDIS_TLS_CA_FILE: .*rediss:/],
    ['no address', { REDIS_TLS_SERVERNAME: 'h' }, /^REDIS_TLS_SERVERNAME: .*rediss:/],
    [
      'an address that verifies nothing',
      { REDIS_URL: 'rediss://h?ssl_cert_reqs=none', REDIS_TLS_CA_FILE: ca.file },
      /^REDIS_TLS_CA_FILE: expected without ssl_cert_reqs=none/,
    ],
    [
      'a name that is none',
      { ...redis, REDIS_TLS_SERVERNAME: 'https://h' },
      /^REDIS_TLS_SERVERNAME: expected a host name/,
    ],
    ...(['CERT', 'CA'] as const).map((part): [string, Record<string, string>, RegExp] => {
      const whole = readFileSync(part === 'CA' ? ca.file : own.cert, 'utf8')
      const chain = `a chain\n${whole}${whole.slice(0, 200)}`
      const path = join(ca.dir, `damaged-${part}`)
      writeFileSync(path, chain)
      const more = part === 'CERT' && { REDIS_TLS_KEY_FILE: own.key }
      const problem = new RegExp(`^REDIS_TLS_${part}_FILE: expected .* in PEM.*ERR_OSSL_PEM`)
      return [`a damaged second one of ${part}`, { ...redis, [`REDIS_TLS_${part}_FILE`]: path, ...more }, problem]
    }),
    [
      'a weak certificate',
      { ...redis, REDIS_TLS_CERT_FILE: weak.cert, REDIS_TLS_KEY_FILE: weak.key },
      /^REDIS_TLS_CERT_FILE: expected .*ERR_SSL_/,
    ],
    ['a CA of the database', { ...postgres, DATABASE_TLS_CA_FILE: ca.file }, undefined],
    [
      'a mode that verifies nothing',
      { ...postgres, DATABASE_URL: 'postgres://h/shop?sslmode=prefer', DATABASE_TLS_CA_FILE: ca.file },
      /^DATABASE_TLS_CA_FILE: expected with sslmode=verify-full/,
    ],
    [
      'a certificate of ours where nothing is encrypted',
      {
        ...postgres,
        DATABASE_URL: 'postgres://h/shop?sslmode=disable',
        DATABASE_TLS_CERT_FILE: own.cert,
        DATABASE_TLS_KEY_FILE: own.key,
      },
      /^DATABASE_TLS_CERT_FILE: expected with sslmode=verify-full.*given disable, which encrypts nothing/,
    ],
    [
      'a certificate of ours where only the server is not verified',
      {
        ...postgres,
        DATABASE_URL: 'postgres://h/shop?sslmode=no-verify',
        DATABASE_TLS_CERT_FILE: own.cert,
        DATABASE_TLS_KEY_FILE: own.key,
      },
      undefined,
    ],
    [
      'a file that the URL names and that is not there',
      { ...postgres, DATABASE_URL: 'postgres://h/shop?sslrootcert=/nowhere' },
      /^DATABASE_TLS_CA_FILE: .*ENOENT/,
    ],
  ])('%s', (_, env, problem) => {
    expect(problems(env)).toEqual(problem ? [expect.stringMatching(problem)] : [])
  })
})
