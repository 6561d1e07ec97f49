import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readConfig, redisAddressOf } from '../../src/config.ts'
import { openClient } from '../../src/daemon/parts.ts'
import { OrderExpiryError } from '../../src/errors.ts'
import { OrderExpiry } from '../../src/index.ts'
import { diagnoseRedis } from '../../src/queue/diagnosis/redis.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createPool } from '../../src/stores/postgres/pool.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { type Certificate, CertificateAuthority } from '../helpers/certificates.ts'
import { closing } from '../helpers/closing.ts'
import { diagnosePostgres } from '../helpers/diagnose-postgres.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { postgresSettings } from '../helpers/postgres-settings.ts'
import { type Server, startPostgres, startRedis } from '../helpers/processes.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const ca = new CertificateAuthority()
const otherCa = new CertificateAuthority()
const client = ca.issue({ subject: 'postgres' })
const foreign = otherCa.issue({ subject: 'postgres' })
const servers: Record<string, Server> = {}

afterAll(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()))
  ca.remove()
  otherCa.remove()
})

/** What we are told, and what doctor says, of the same server with the same settings. */
interface Verdict {
  code: string
  message: string
  finding: { level: string; what: string; fix?: string | undefined }
}

const NAMED_OTHERWISE = { names: 'DNS:internal.example' }

/** What each server presents, and what it asks for. */
const SERVERS = {
  good: { certificate: ca.issue(), asks: false },
  named: { certificate: ca.issue(NAMED_OTHERWISE), asks: false },
  expired: { certificate: ca.issue({ days: -1 }), asks: false },
  asking: { certificate: ca.issue(), asks: true },
} as const

const files = (prefix: string, certificate?: Certificate) => ({
  [`${prefix}_TLS_CA_FILE`]: ca.file,
  ...(certificate && { [`${prefix}_TLS_CERT_FILE`]: certificate.cert, [`${prefix}_TLS_KEY_FILE`]: certificate.key }),
})

/** Settings beside the address, the server, and what is to be told; none: it works. */
const CASES: [
  what: string,
  server: keyof typeof SERVERS | 'plain',
  more: (prefix: string) => object,
  told: RegExp | undefined,
  advice: RegExp | undefined,
][] = [
  ['a private CA', 'good', (prefix) => files(prefix), undefined, undefined],
  ['a CA that is not known', 'good', () => ({}), /not trusted here/, /_TLS_CA_FILE/],
  [
    'the CA of somebody else',
    'good',
    (prefix) => ({ [`${prefix}_TLS_CA_FILE`]: otherCa.file }),
    /not trusted here/,
    /_TLS_CA_FILE/,
  ],
  ['a certificate for another name', 'named', (prefix) => files(prefix), /another name/, /_TLS_SERVERNAME/],
  [
    'a name that is told',
    'named',
    (prefix) => ({ ...files(prefix), [`${prefix}_TLS_SERVERNAME`]: 'internal.example' }),
    undefined,
    undefined,
  ],
  ['a certificate that has expired', 'expired', (prefix) => files(prefix), /not valid now/, /renew/],
  ['a client certificate', 'asking', (prefix) => files(prefix, client), undefined, undefined],
  ['no client certificate', 'asking', (prefix) => files(prefix), /wants a certificate/, /_TLS_CERT_FILE/],
  [
    'a client certificate of another CA',
    'asking',
    (prefix) => files(prefix, foreign),
    /refuses our certificate/,
    /_TLS_CERT_FILE/,
  ],
]

describe('Redis', () => {
  beforeAll(async () => {
    for (const [name, { certificate, asks }] of Object.entries(SERVERS)) {
      const { cert, key } = certificate
      const tls = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca.file]
      servers[`redis ${name}`] = await startRedis({ tls: [...tls, '--tls-auth-clients', asks ? 'yes' : 'no'] })
    }
  })

  const configOf = (env: Record<string, string>) =>
    readConfig({ env: { QUEUE_NAME: uniqueName('tls'), ...env }, dotenv: {} })

  async function judge(env: Record<string, string>, code = 'REDIS_REFUSED'): Promise<Verdict | undefined> {
    const config = configOf(env)
    const redis = redisAddressOf(config)
    if (!redis) throw new Error('expected an address')
    const connection = new Connection({ address: redis, profile: commandProfile(redis, 2_000) })
    closing.push(() => connection.close())
    const findings = await diagnoseRedis({
      redis,
      keepsOrders: false,
      clock: systemClock,
      queue: namedQueue({ name: 'q', prefix: 'bull' }),
    })
    const [finding] = findings.filter(({ code }) => code === 'redis-reachable')
    try {
      await connection.ask(() => connection.redis.ping())
      expect(finding?.level).toBe('ok')
      expect(findings).toContainEqual(expect.objectContaining({ code: 'redis-tls', level: 'ok' }))
      return undefined
    } catch (error) {
      // A server may hang up before we have read why it refuses us; the next attempt tells.
      let told = error as OrderExpiryError
      await eventually('it is told', async () => {
        told = await connection.ask(() => connection.redis.ping()).catch((reason) => reason)
        return told.code === code
      })
      return { code: told.code, message: told.message, finding: finding as Verdict['finding'] }
    }
  }

  test.each(CASES)('%s', async (_, server, more, told, advice) => {
    const verdict = await judge({ REDIS_URL: (servers[`redis ${server}`] as Server).url, ...more('REDIS') })
    expect(verdict?.code).toBe(told && 'REDIS_REFUSED')
    if (!told || !advice || !verdict) return
    expect(verdict.message).toMatch(told)
    expect(verdict.message).toMatch(advice)
    expect(verdict.finding).toMatchObject({ level: 'error', what: expect.stringMatching(told) })
    expect(verdict.finding.fix).toMatch(advice)
    expect(verdict.finding.fix).toContain('-verify_return_error')
    expect(verdict.finding.fix).not.toContain('redis-cli')
  })

  test('that is asked in plaintext, and one that knows only plaintext: both are told', async () => {
    const { url } = servers['redis good'] as Server
    const inPlain = await judge({ REDIS_URL: url.replace('rediss', 'redis') }, 'REDIS_UNAVAILABLE')
    expect(inPlain?.message).toMatch(/write rediss:/)
    expect(inPlain?.finding.what).toMatch(/write rediss:/)
    const inTls = await judge({ REDIS_URL: redisUrl().replace('redis:', 'rediss:') }, 'REDIS_UNAVAILABLE')
    expect(inTls?.message).toMatch(/write redis:/)
    expect(inTls?.finding.what).toMatch(/write redis:/)
  })

  test('the library of the daemon schedules over it', async () => {
    const config = configOf({ REDIS_URL: (servers['redis asking'] as Server).url, ...files('REDIS', client) })
    const orders = openClient({ config, redisAddress: redisAddressOf(config) ?? '' })
    closing.push(() => orders.close())
    expect(await orders.schedule({ orderId: '1', deadline: Date.now() + 3_600_000 })).toMatchObject({
      result: 'scheduled',
    })
  })

  describe('is told in the names of the options in the library, of the settings in the client of the daemon:', () => {
    const urlOf = (server: keyof typeof SERVERS) => (servers[`redis ${server}`] as Server).url
    const options = (url: string) => ({ port: Number(new URL(url).port), tls: { ca: readFileSync(ca.file) } })

    test.each<[what: string, url: () => string, more: object, library: RegExp, daemon: RegExp]>([
      ['an unknown CA', () => urlOf('good'), {}, /set redis\.tls\.ca to the cert/, /set REDIS_TLS_CA_FILE to the file/],
      [
        'a wanted certificate',
        () => urlOf('asking'),
        files('REDIS'),
        /redis\.tls\.cert and/,
        /REDIS_TLS_CERT_FILE and/,
      ],
      ['missing TLS', () => urlOf('good').replace('rediss', 'redis'), {}, /tls: \{\} \}/, /write rediss:.* REDIS_URL/],
      ['needless TLS', () => redisUrl().replace('redis', 'rediss'), {}, /leave out tls/, /write redis:.* REDIS_URL/],
    ])('%s', async (what, url, more, library, daemon) => {
      const config = configOf({ REDIS_URL: url(), ...more })
      const redis = what === 'a wanted certificate' ? options(url()) : url()
      const inShop = new OrderExpiry({ redis, queueName: uniqueName('tls') })
      const inDaemon = openClient({ config, redisAddress: redisAddressOf(config) ?? '' })
      closing.push(
        () => inShop.close(),
        () => inDaemon.close(),
      )
      const told = (of: OrderExpiry) => of.find('a').then(String, ({ message }: Error) => message)
      // A server may hang up before we have read why it refuses us; the next attempt tells.
      await eventually('the library tells', async () => library.test(await told(inShop)))
      await eventually('the daemon tells', async () => daemon.test(await told(inDaemon)))
      expect(await told(inShop)).not.toMatch(/REDIS_|_FILE/)
    })
  })

  test('without verification is a warning, where the URL says so', async () => {
    // This machine, by an address that does not say so.
    const redis = `${(servers['redis good'] as Server).url}?ssl_cert_reqs=none`.replace('127.0.0.1', '0.0.0.0')
    const queue = namedQueue({ name: 'q', prefix: 'bull' })
    const findings = await diagnoseRedis({ redis, keepsOrders: false, clock: systemClock, queue })
    expect(findings).toContainEqual(expect.objectContaining({ code: 'redis-reachable', level: 'ok' }))
    const what = expect.stringContaining('is not verified')
    expect(findings).toContainEqual(expect.objectContaining({ code: 'redis-tls', level: 'warning', what }))
  })

  test('certificates that are renewed are read for the next connection', async () => {
    const own = join(ca.dir, 'own.crt')
    copyFileSync(otherCa.file, own)
    const config = configOf({ REDIS_URL: (servers['redis good'] as Server).url, REDIS_TLS_CA_FILE: own })
    const address = redisAddressOf(config) ?? ''
    const connection = new Connection({ address, profile: commandProfile(address, 2_000) })
    closing.push(() => connection.close())
    const ping = () => connection.ask(() => connection.redis.ping())
    await expect(ping()).rejects.toMatchObject({ code: 'REDIS_REFUSED' })
    copyFileSync(ca.file, own)
    await eventually('it is trusted', async () => (await ping().catch(() => '')) === 'PONG')
  })
})

describe('PostgreSQL', () => {
  beforeAll(async () => {
    for (const [name, { certificate, asks }] of Object.entries(SERVERS)) {
      const settings = {
        ssl: 'on',
        ssl_cert_file: certificate.cert,
        ssl_key_file: certificate.key,
        ssl_ca_file: ca.file,
      }
      const accessRules = `hostssl all all 127.0.0.1/32 ${asks ? 'trust clientcert=verify-ca' : 'trust'}\n`
      servers[`postgres ${name}`] = await startPostgres({ settings, accessRules })
    }
  })

  const urlOf = (server: string, query = '') => `${(servers[`postgres ${server}`] as Server).url}${query}`

  async function judge(url: string, more: object): Promise<Verdict | undefined> {
    const settings = postgresSettings({ DATABASE_URL: url, ...more })
    const options = { settings, connections: 1, onError: () => {} }
    const findings = await diagnosePostgres(options)
    const [finding] = findings.filter(({ code }) => code === 'store-reachable')
    const error = await PostgresStore.open(options).catch((reason) => reason)
    if (!(error instanceof OrderExpiryError)) throw new Error('expected a database without a table')
    if (error.code === 'STORE_MISMATCH') {
      expect(finding?.level).toBe('ok')
      return undefined
    }
    return { code: error.code, message: error.message, finding: finding as Verdict['finding'] }
  }

  test.each(CASES)('%s', async (_, server, more, told, advice) => {
    const verdict = await judge(urlOf(server, '?sslmode=verify-full'), more('DATABASE'))
    expect(verdict?.code).toBe(told && 'STORE_REFUSED')
    if (!told || !advice || !verdict) return
    expect(verdict.message).toMatch(told)
    expect(verdict.message).toMatch(advice)
    expect(verdict.finding).toMatchObject({ level: 'error', what: expect.stringMatching(told) })
    expect(verdict.finding.fix).toMatch(advice)
    expect(verdict.finding.fix).not.toContain('psql')
  })

  test.each<[mode: string, works: string[]]>([
    ['', []],
    ['?sslmode=disable', ['plain']],
    ['?sslmode=allow', ['plain', 'good', 'named', 'expired']],
    ['?sslmode=prefer', ['plain', 'good', 'named', 'expired']],
    ['?sslmode=no-verify', ['good', 'named', 'expired']],
    ['?uselibpqcompat=true&sslmode=require', ['good', 'named', 'expired']],
    ['?ssl=true', []],
    ['?sslmode=require', []],
    [`?sslmode=require&sslrootcert=${ca.file}`, ['good']],
    [`?sslmode=verify-ca&sslrootcert=${ca.file}`, ['good', 'named']],
    [`?sslmode=verify-full&sslrootcert=${ca.file}`, ['good']],
    [`?sslrootcert=${ca.file}`, ['good']],
    [`?sslmode=verify-full&sslrootcert=${ca.file}&sslcert=${client.cert}&sslkey=${client.key}`, ['good', 'asking']],
  ])('%s reaches %j', async (query, works) => {
    const names = [...Object.keys(SERVERS), 'plain']
    const reached: string[] = []
    for (const name of names) {
      const url = name === 'plain' ? `${databaseUrl()}${query}` : urlOf(name, query)
      const verdict = await judge(url, { ORDERS_TABLE: 'no_such_table' })
      if (verdict === undefined) reached.push(name)
      else expect(verdict.code).toBe('STORE_REFUSED')
    }
    const expected = query === '' ? ['plain'] : works
    expect(reached.sort()).toEqual([...expected].sort())
  })

  describe('sslmode=prefer', () => {
    const open = (url: string) => {
      const settings = postgresSettings({ DATABASE_URL: `${url}?sslmode=prefer` })
      const pool = createPool({ settings, connections: 8, onError: () => {} })
      closing.push(() => pool.end())
      return pool
    }
    /** Over how many of as many new connections as are wanted there is TLS. */
    async function encrypted(pool: ReturnType<typeof open>, wanted: number): Promise<number> {
      const clients = await Promise.all(Array.from({ length: wanted }, () => pool.connect()))
      const sql = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
      const answers = await Promise.all(clients.map((client) => client.query<{ ssl: boolean }>(sql)))
      for (const client of clients) client.release(true)
      return answers.filter(({ rows }) => rows[0]?.ssl).length
    }

    test('begins each connection with TLS, also after one that had to do without', async () => {
      const { cert, key } = SERVERS.good.certificate
      const server = await startPostgres({ settings: { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key } })
      closing.push(() => server.stop())
      const { url } = server
      const proxy = await TcpProxy.to(url)
      closing.push(() => proxy.close())
      const pool = open(proxy.urlOf(url))
      proxy.loseNext()
      expect(await encrypted(pool, 1)).toBe(0)
      expect(pool.ways.reached().isEncrypted).toBe(false)
      expect(await encrypted(pool, 8)).toBe(8)
      expect(pool.ways.reached().isEncrypted).toBe(true)
    })

    test('goes without where there is none, on every connection of many at once, and says so', async () => {
      const pool = open(databaseUrl())
      for (let round = 0; round < 5; round++) expect(await encrypted(pool, 8)).toBe(0)
      expect(pool.ways.reached().isEncrypted).toBe(false)
    })
  })

  test('that takes TLS only, and one that has none: both are told', async () => {
    expect((await judge(urlOf('good'), {}))?.message).toMatch(/TLS only.*sslmode=verify-full/)
    expect((await judge(`${databaseUrl()}?sslmode=require`, {}))?.message).toMatch(
      /does not speak TLS.*sslmode=disable/,
    )
  })
})
