import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { CLI, DaemonProcess, runCli } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { freePort, startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

async function openTable(): Promise<OrdersTable> {
  const table = await OrdersTable.create()
  await table.migrate()
  closing.push(() => table.drop())
  return table
}

function openQueue(url = redisUrl()): RawQueue {
  const raw = new RawQueue(url)
  closing.push(() => raw.close())
  return raw
}

/** A Redis that asks for a password. */
async function openLockedRedis(): Promise<{ port: number }> {
  const redis = await startRedis()
  closing.push(() => redis.stop())
  const raw = new RawQueue(redis.url)
  await raw.redis.config('SET', 'requirepass', 'right')
  raw.redis.disconnect()
  return redis
}

/** A daemon that the test need not stop itself. */
function launch(env: Record<string, string>, options: { cwd?: string } = {}): DaemonProcess {
  const daemon = new DaemonProcess(env, options)
  closing.push(() => daemon.stop('SIGKILL'))
  return daemon
}

const isReady = (daemon: DaemonProcess) => daemon.until(({ msg }) => msg === 'ready')
const status = async (daemon: DaemonProcess, path: string) => (await fetch(`${await daemon.url()}${path}`)).status

/** 1,000 overdue orders, each of which takes the database a moment, so that a signal comes in the middle. */
async function overdue(table: OrdersTable, raw: RawQueue): Promise<void> {
  const deadline = Date.now() - 1_000
  const ids = Array.from({ length: 1_000 }, (_, i) => `${i + 1}`)
  await table.insert(ids.map((id) => ({ id, deadline })))
  await table.pool.query(`
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION slow()`)
  // Our own ids, so that a sweep does not give them a second job.
  const opts = (orderId: string) => ({ jobId: `order-${orderId}` })
  await raw.queue.addBulk(
    ids.map((orderId) => ({ name: 'check-payment', data: { orderId, deadline }, opts: opts(orderId) })),
  )
}

async function expectAllSettledOnce(table: OrdersTable, raw: RawQueue): Promise<void> {
  await eventually(
    'all checks are finished',
    async () => (await raw.queue.getJobCounts('completed')).completed === 1_000,
    60_000,
  )
  expect(await raw.queue.getJobCounts('active', 'failed', 'wait', 'delayed')).toEqual({
    active: 0,
    failed: 0,
    wait: 0,
    delayed: 0,
  })
  const { rows } = await table.pool.query(
    `SELECT count(*)::int AS n, count(DISTINCT order_id)::int AS orders FROM audit WHERE after = 'cancelled'`,
  )
  expect(rows).toEqual([{ n: 1_000, orders: 1_000 }])
  expect(await table.outbox()).toHaveLength(1_000)
}

/** Resolves when some, but not all, of the 1,000 are done. */
const inTheMiddle = (raw: RawQueue) =>
  eventually('the daemon is in the middle of the checks', async () => {
    const { completed = 0, active = 0 } = await raw.queue.getJobCounts('completed', 'active')
    expect(completed).toBeLessThan(1_000)
    return completed > 100 && active > 0
  })

describe('in the middle of 1,000 checks', () => {
  const env = (table: OrdersTable, raw: RawQueue) => ({
    ...table.env,
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    CONCURRENCY: '50',
    BATCH_SIZE: '20',
  })

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: exit code 0 in time, no job left active, the next process settles the rest',
    async (signal) => {
      const table = await openTable()
      const raw = openQueue()
      const first = launch(env(table, raw))
      await isReady(first)
      await overdue(table, raw)
      await inTheMiddle(raw)
      const signalledAt = Date.now()
      expect(await first.stop(signal)).toBe(0)
      expect(Date.now() - signalledAt).toBeLessThan(25_000)
      expect(await raw.queue.getActiveCount()).toBe(0)
      expect((await raw.queue.getJobCounts('completed')).completed).toBeLessThan(1_000)
      expect(first.stderr).toBe('')

      await isReady(launch(env(table, raw)))
      await expectAllSettledOnce(table, raw)
    },
  )

  test('SIGKILL: the next process settles all, those that were under way too, each once', async () => {
    const table = await openTable()
    const raw = openQueue()
    const first = launch(env(table, raw))
    await isReady(first)
    await overdue(table, raw)
    await inTheMiddle(raw)
    expect(await first.stop('SIGKILL')).toBeNull()
    expect(await raw.queue.getActiveCount()).toBeGreaterThan(0)

    await isReady(launch(env(table, raw)))
    await expectAllSettledOnce(table, raw)
  }, 90_000)
})

describe('start', () => {
  test('waits for Redis, saying so, alive but not ready; and begins when it is there', async () => {
    const port = await freePort()
    const daemon = launch({ REDIS_URL: `redis://127.0.0.1:${port}` })
    expect(await daemon.until(({ service }) => service === 'redis')).toMatchObject({
      level: 'warn',
      code: 'REDIS_UNAVAILABLE',
      msg: expect.stringContaining(`127.0.0.1:${port}`),
    })
    expect(await status(daemon, '/livez')).toBe(200)
    const response = await fetch(`${await daemon.url()}/readyz`)
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({
      phase: 'starting',
      checks: [{ name: 'redis', status: 'unavailable' }, { name: 'store' }, { name: 'brake' }, { name: 'worker' }],
    })
    const redis = await startRedis({ port })
    closing.push(() => redis.stop())
    await isReady(daemon)
    expect(await status(daemon, '/readyz')).toBe(200)
    expect(await daemon.stop()).toBe(0)
  })

  test('waits for PostgreSQL, saying so; and begins when it is there', async () => {
    const table = await openTable()
    const proxy = await TcpProxy.to(databaseUrl())
    closing.push(() => proxy.close())
    proxy.cut()
    const daemon = launch({
      ...table.env,
      REDIS_URL: redisUrl(),
      QUEUE_NAME: uniqueName('q'),
      DATABASE_URL: proxy.urlOf(databaseUrl()),
    })
    expect(await daemon.until(({ service, level }) => service === 'store' && level === 'warn')).toMatchObject({
      code: 'STORE_UNAVAILABLE',
    })
    expect(await status(daemon, '/livez')).toBe(200)
    expect(await status(daemon, '/readyz')).toBe(503)
    proxy.heal()
    await isReady(daemon)
    expect(await daemon.stop()).toBe(0)
  })

  test.each([
    ['Redis', (port: number) => ({ REDIS_URL: `redis://127.0.0.1:${port}` })],
    [
      'PostgreSQL',
      (port: number) => ({
        REDIS_URL: redisUrl(),
        ORDER_STORE: 'postgres',
        DATABASE_URL: `postgres://x@127.0.0.1:${port}/x`,
      }),
    ],
  ])('SIGTERM while waiting for %s: exit code 0', async (_, env) => {
    const daemon = launch({ ...env(await freePort()), QUEUE_NAME: uniqueName('q') })
    await daemon.until(({ level }) => level === 'warn')
    expect(await daemon.stop()).toBe(0)
  })

  test('says that the outbox is missing, and ends with code 1', async () => {
    const table = await OrdersTable.create()
    closing.push(() => table.drop())
    const daemon = launch({ ...table.env, REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('q') })
    expect(await daemon.until(({ level }) => level === 'fatal')).toMatchObject({
      code: 'OUTBOX_MISSING',
      msg: expect.stringContaining('order-expiry migrate'),
    })
    expect(await daemon.stop()).toBe(1)
  })

  test('a wrong password is an error, not an outage, and is not logged', async () => {
    const { port } = await openLockedRedis()
    const daemon = launch({ REDIS_URL: `redis://:wr0ng-secret@127.0.0.1:${port}` })
    expect(await daemon.until(({ level }) => level === 'fatal')).toMatchObject({ code: 'REDIS_REFUSED' })
    expect(await daemon.stop()).toBe(1)
    expect(JSON.stringify(daemon.logs) + daemon.stderr).not.toContain('wr0ng-secret')
  })

  test('a port that is taken is an error with code 1', async () => {
    const first = launch({ REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('q') })
    await isReady(first)
    const second = launch({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: uniqueName('q'),
      HTTP_PORT: new URL(await first.url()).port,
    })
    expect(await second.until(({ level }) => level === 'fatal')).toMatchObject({ code: 'HTTP_LISTEN_FAILED' })
    expect(await second.stop()).toBe(1)
  })
})

test('a failed start ends with code 1 even if nobody reads what it says any more', async () => {
  const { port } = await openLockedRedis()
  const child = spawn(process.execPath, [CLI, 'start'], {
    env: { PATH: process.env.PATH ?? '', HTTP_PORT: '0', REDIS_URL: `redis://:wrong@127.0.0.1:${port}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  closing.push(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  await once(child.stdout, 'data')
  child.stdout.destroy()
  expect(await exited).toEqual([1, null])
})

test('a terminal that is closed is a reason to stop in order', async () => {
  const daemon = launch({ REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('q') })
  await isReady(daemon)
  expect(await daemon.stop('SIGHUP')).toBe(0)
})

describe('stop', () => {
  test('with Redis and PostgreSQL gone: exit code 0 within the time-out', async () => {
    const table = await openTable()
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const proxy = await TcpProxy.to(databaseUrl())
    closing.push(() => proxy.close())
    const daemon = launch({
      ...table.env,
      REDIS_URL: redis.url,
      DATABASE_URL: proxy.urlOf(databaseUrl()),
      SHUTDOWN_TIMEOUT: '3s',
    })
    await isReady(daemon)
    proxy.cut()
    process.kill(redis.pid, 'SIGSTOP')
    const signalledAt = Date.now()
    const code = await daemon.stop()
    process.kill(redis.pid, 'SIGCONT')
    expect(code).toBe(0)
    expect(Date.now() - signalledAt).toBeLessThan(4_500)
  })

  test('a second signal ends the process at once', async () => {
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const daemon = launch({ REDIS_URL: redis.url, SHUTDOWN_TIMEOUT: '1h' })
    await isReady(daemon)
    process.kill(redis.pid, 'SIGSTOP')
    daemon.signal('SIGTERM')
    await daemon.until(({ msg }) => msg === 'stopping: SIGTERM')
    // Within half a second it is the same signal.
    const repeated = setInterval(() => daemon.signal('SIGTERM'), 100)
    const startedAt = Date.now()
    const exitCode = await daemon.exited
    clearInterval(repeated)
    expect(exitCode).toBe(143)
    expect(Date.now() - startedAt).toBeGreaterThan(350)
    process.kill(redis.pid, 'SIGCONT')
  })
})

describe('bad settings', () => {
  test('an unknown setting and a bad value: start ends with code 1 and lists both', async () => {
    const { code, stdout, stderr } = await runCli(['start'], {
      env: { ORDERS_TABEL: 'x', CONCURRENCY: 'many', BATCH_SIZE: '0' },
    })
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^INVALID_SETTINGS: 3 problems/)
    expect(stderr).toContain('ORDERS_TABEL: unknown setting; did you mean ORDERS_TABLE?')
    expect(stderr).toContain('CONCURRENCY: expected a whole number from 1 to 10000, given "many"')
    expect(stderr).toContain('BATCH_SIZE: expected a whole number from 1 to 1000, given "0"')
  })

  test('are found in .env too, and check says the same', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'order-expiry-env-'))
    closing.push(() => rmSync(cwd, { recursive: true }))
    writeFileSync(join(cwd, '.env'), 'CONCURENCY=5\nPAYMENT_TIMEOUT=300\nHTTP_HOST=0.0.0.0\n')
    const { code, stderr } = await runCli(['check'], { cwd })
    expect(code).toBe(1)
    expect(stderr).toContain('CONCURENCY: unknown setting; did you mean CONCURRENCY?')
    expect(stderr).toContain('PAYMENT_TIMEOUT: expected a duration')
    expect(stderr).toContain('BOARD_USERS: expected at least one user')
    writeFileSync(join(cwd, '.env'), 'CONCURRENCY=5\nREDIS_URL=redis://:s3cret@redis:6379\n')
    const good = await runCli(['check', '--json'], { cwd })
    expect(good.code).toBe(0)
    expect(JSON.parse(good.stdout)).toMatchObject({ CONCURRENCY: '5', PAYMENT_TIMEOUT: '5m', DATABASE_URL: null })
    expect(good.stdout).not.toContain('s3cret')
  })

  test('without REDIS_URL in production, nothing is started', async () => {
    const { code, stderr } = await runCli(['start'], { env: { NODE_ENV: 'production' } })
    expect(code).toBe(1)
    expect(stderr).toContain('REDIS_URL')
  })
})
