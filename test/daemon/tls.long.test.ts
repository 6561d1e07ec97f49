import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { CertificateAuthority } from '../helpers/certificates.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { type Server, startPostgres, startRedis } from '../helpers/processes.ts'

const ca = new CertificateAuthority()
const client = ca.issue({ subject: 'postgres' })
let redis: Server
let postgres: Server

beforeAll(async () => {
  const { cert, key } = ca.issue()
  const tls = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca.file]
  redis = await startRedis({ tls: [...tls, '--tls-auth-clients', 'yes'] })
  const settings = { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key, ssl_ca_file: ca.file }
  const accessRules = 'hostssl all all 127.0.0.1/32 trust clientcert=verify-full\n'
  postgres = await startPostgres({ settings, accessRules })
})
afterAll(async () => {
  await redis.stop()
  await postgres.stop()
  ca.remove()
})

const trusting = (prefix: string) => ({
  [`${prefix}_TLS_CA_FILE`]: ca.file,
  [`${prefix}_TLS_CERT_FILE`]: client.cert,
  [`${prefix}_TLS_KEY_FILE`]: client.key,
})

describe('with certificates of a private CA on both sides', () => {
  test('the daemon, the commands, the pages and doctor all reach Redis', async () => {
    const env = { REDIS_URL: redis.url, QUEUE_NAME: uniqueName('tls'), ...trusting('REDIS') }
    const daemon = await DaemonProcess.start({ ...env, LOG_LEVEL: 'debug' })
    closing.push(() => daemon.stop())
    expect((await runCli(['schedule', 'order-1', '--timeout', '2s'], { env })).code).toBe(0)
    await daemon.until((line) => line.msg === 'order cancelled' && line.orderId === 'order-1')
    for (const args of [
      ['show', 'order-1'],
      ['explain', 'order-1'],
      ['sweep', '--dry-run'],
      ['brake', 'status'],
      ['forecast'],
    ]) {
      expect(await runCli(args, { env })).toMatchObject({ code: 0, stderr: '' })
    }
    for (const path of ['/', '/board', '/readyz', '/metrics']) {
      expect((await fetch(`${await daemon.url()}${path}`)).status).toBe(200)
    }
    const doctor = await runCli(['doctor'], { env })
    expect(doctor.stdout).toMatch(/ok +tls +TLS, with the certificate of the server verified/)
    expect(doctor.code).toBe(0)
    expect(await runCli(['demo', '--orders', '4', '--seconds', '1'], { env })).toMatchObject({ code: 0 })
  })

  test('the daemon and migrate reach PostgreSQL', async () => {
    const url = `${postgres.url}?sslmode=verify-full`
    const env = { ORDER_STORE: 'postgres', DATABASE_URL: url, ...trusting('DATABASE') }
    const query = `&sslrootcert=${ca.file}&sslcert=${client.cert}&sslkey=${client.key}`
    const table = await OrdersTable.create({}, url + query)
    closing.push(() => table.drop())
    const all = { ...table.env, ...env, REDIS_URL: redis.url, QUEUE_NAME: uniqueName('tls'), ...trusting('REDIS') }
    expect(await runCli(['migrate'], { env: all })).toMatchObject({ code: 0 })
    await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    const daemon = await DaemonProcess.start(all)
    closing.push(() => daemon.stop())
    await eventually('it is cancelled', async () => (await table.outbox()).length === 1)
  })
})

describe('each command that needs Redis says where it is, what is wrong, and what to set:', () => {
  const commands = [
    ['show', 'order-1'],
    ['schedule', 'order-1'],
    ['pay', 'order-1'],
    ['sweep'],
    ['sweep', '--dry-run'],
    ['forecast'],
    ['brake', 'status'],
    ['explain', 'order-1'],
  ]
  test.each<[what: string, url: () => string, told: RegExp]>([
    ['a certificate that is refused', () => redis.url, /127\.0\.0\.1:\d+.*not trusted here.*set REDIS_TLS_CA_FILE/],
    ['a closed port', () => 'redis://127.0.0.1:1', /127\.0\.0\.1:1 cannot be used now \(connect ECONNREFUSED/],
    [
      'a host that is unknown',
      () => 'redis://nowhere.invalid',
      /nowhere\.invalid:6379 cannot be used now \(getaddrinfo/,
    ],
  ])('%s', async (_, url, told) => {
    for (const args of commands) {
      const { code, stdout, stderr } = await runCli(args, { env: { REDIS_URL: url() } })
      expect([args, code, stdout + stderr]).toEqual([args, expect.any(Number), expect.stringMatching(told)])
      expect([args, code]).not.toEqual([args, 0])
      expect(stdout + stderr).not.toContain('maxRetriesPerRequest')
    }
  })
})

describe('a certificate that is refused ends the start with 1, what is wrong and what to set', () => {
  test('Redis', async () => {
    const { code, stdout } = await runCli(['start'], { env: { REDIS_URL: redis.url } })
    expect(code).toBe(1)
    expect(stdout).toMatch(/REDIS_REFUSED.*not trusted here.*set REDIS_TLS_CA_FILE/)
  })

  test('PostgreSQL', async () => {
    const env = {
      REDIS_URL: redis.url,
      ...trusting('REDIS'),
      ORDER_STORE: 'postgres',
      DATABASE_URL: `${postgres.url}?sslmode=require`,
    }
    const { code, stdout } = await runCli(['start'], { env })
    expect(code).toBe(1)
    expect(stdout).toMatch(/STORE_REFUSED.*not trusted here.*set DATABASE_TLS_CA_FILE/)
  })
})
