import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { uniqueName } from '../helpers/env.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { freePort, type Server, startRedis } from '../helpers/processes.ts'

interface Report {
  errors: number
  warnings: number
  findings: { level: string; subject: string; code: string; what: string; meaning?: string; fix?: string }[]
}

describe('with a Redis of its own', () => {
  let server: Server
  let redis: Redis
  let env: Record<string, string>
  beforeAll(async () => {
    server = await startRedis({ appendOnly: true })
    redis = new Redis(server.url)
    env = { REDIS_URL: server.url, QUEUE_NAME: uniqueName('doctor') }
  })
  afterAll(async () => {
    redis.disconnect()
    await server.stop()
  })

  test('beside a running daemon everything is in order: code 0, a line for each thing', async () => {
    await redis.config('SET', 'hash-max-listpack-value', '256')
    const daemon = await DaemonProcess.start(env)
    try {
      const { code, stdout, stderr } = await runCli(['doctor'], { env })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/\nEverything is in order\.\n$/)
      expect(stdout).toMatch(/^redis\n {2}ok {6}reachable {7}answers at 127/)
      expect(stdout.split('\n').filter((line) => /^\w+$/.test(line))).toEqual(['redis', 'store', 'queue'])
      expect(stdout).not.toMatch(/fix:|WARNING|ERROR/)
    } finally {
      await daemon.stop()
    }
  })

  test('warnings: code 0; errors: code 1, the same as JSON', async () => {
    await redis.config('SET', 'appendonly', 'no')
    const warned = await runCli(['doctor'], { env })
    expect(warned.code).toBe(0)
    expect(warned.stdout).toContain('fix: CONFIG SET appendonly yes')
    expect(warned.stdout).toContain('0 errors, 1 warning.')
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
    const { code, stdout, stderr } = await runCli(['doctor', '--json'], { env })
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const report = JSON.parse(stdout) as Report
    expect(report).toMatchObject({ errors: 1, warnings: 1 })
    expect(report.findings.find(({ level }) => level === 'error')).toMatchObject({
      subject: 'redis',
      code: 'redis-eviction',
      fix: expect.stringContaining('CONFIG SET maxmemory-policy noeviction'),
    })
    await redis.config('SET', 'appendonly', 'yes')
    await redis.config('SET', 'maxmemory-policy', 'noeviction')
    expect((await runCli(['doctor'], { env })).code).toBe(0)
  })
})

describe('with PostgreSQL', () => {
  let table: OrdersTable
  beforeAll(async () => {
    table = await OrdersTable.create()
  })
  afterAll(() => table.drop())

  test('Redis and the store are looked at each for itself', async () => {
    const env = { ...table.env, REDIS_URL: `redis://:geheim@127.0.0.1:${await freePort()}` }
    const { code, stdout } = await runCli(['doctor', '--json'], { env })
    expect(code).toBe(1)
    const { findings } = JSON.parse(stdout) as Report
    const levels = Object.fromEntries(findings.map((found) => [found.code, found.level]))
    expect(levels).toMatchObject({
      'redis-reachable': 'error',
      'store-reachable': 'ok',
      'store-outbox': 'error',
      'store-index': 'warning',
      'queue-reachable': 'info',
    })
    expect(stdout).not.toContain('geheim')
  })
})

test.each(['redis', 'postgres'])('a wrong password is an error, and is not shown: ORDER_STORE=%s', async (store) => {
  const server = await startRedis()
  const redis = new Redis(server.url)
  await redis.config('SET', 'requirepass', 'richtig')
  try {
    const env = {
      ORDER_STORE: store,
      REDIS_URL: server.url.replace('//', '//:geheim@'),
      ...(store === 'postgres' && { DATABASE_URL: `postgres://clerk:geheim@127.0.0.1:${await freePort()}/shop` }),
    }
    for (const args of [['doctor'], ['doctor', '--json']]) {
      const { code, stdout, stderr } = await runCli(args, { env })
      expect(code).toBe(1)
      expect(stdout).toContain('WRONGPASS')
      expect(stdout + stderr).not.toMatch(/geheim|richtig/)
    }
  } finally {
    redis.disconnect()
    await server.stop()
  }
})

test('with servers that accept and never answer it ends within 20 s', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  const port = await freePort()
  await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve))
  const startedAt = Date.now()
  const { code, stdout } = await runCli(['doctor'], {
    env: {
      REDIS_URL: `redis://127.0.0.1:${port}`,
      ORDER_STORE: 'postgres',
      DATABASE_URL: `postgres://clerk@127.0.0.1:${port}/shop`,
    },
  })
  expect(Date.now() - startedAt).toBeLessThan(20_000)
  expect(code).toBe(1)
  expect(stdout).toContain('2 errors, 0 warnings.')
  for (const socket of sockets) socket.destroy()
  silent.close()
})

test('with the private Redis of a daemon it works, too, and a dry run is warned of', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'order-expiry-doctor-'))
  const daemon = new DaemonProcess({ HTTP_PORT: '0' }, { cwd })
  await daemon.until(({ msg }) => msg === 'ready')
  const report = async (env: Record<string, string>) => {
    const { code, stdout } = await runCli(['doctor', '--json'], { env, cwd })
    expect(code).toBe(0)
    return JSON.parse(stdout) as Report
  }
  expect(await report({})).toMatchObject({ errors: 0, warnings: 0 })
  const dry = await report({ DRY_RUN: 'true' })
  expect(dry.findings.filter(({ level }) => level === 'warning').map(({ code }) => code)).toEqual(['store-dry-run'])
  expect(await daemon.stop()).toBe(0)
  rmSync(cwd, { recursive: true })
})
