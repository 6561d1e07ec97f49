import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { CLI, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

describe('with the redis store', () => {
  const env = { REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('commands') }
  const run = (...args: string[]) => runCli(args, { env })

  test('schedule, show, reschedule, withdraw', async () => {
    const scheduled = await run('schedule', 'a:1', '--timeout', '15m', '--json')
    expect(scheduled.code).toBe(0)
    const { deadline } = JSON.parse(scheduled.stdout)
    expect(JSON.parse((await run('schedule', 'a:1', '--deadline', deadline, '--json')).stdout)).toMatchObject({
      result: 'unchanged',
      deadline,
    })
    const conflict = await run('schedule', 'a:1', '--deadline', `${Date.parse(deadline) + 1_000}`)
    expect(conflict).toMatchObject({ code: 1, stdout: expect.stringMatching(/result\s+conflict/) })
    expect(JSON.parse((await run('show', 'a:1', '--json')).stdout)).toMatchObject({
      orderId: 'a:1',
      check: { jobId: 'order-a%3A1', state: 'waiting', deadline },
      order: { status: 'pending', deadline },
    })
    expect((await run('reschedule', 'a:1', '--timeout', '1h')).code).toBe(0)
    expect((await run('reschedule', 'nobody', '--timeout', '1h')).code).toBe(1)
    expect((await run('withdraw', 'a:1')).code).toBe(0)
    expect((await run('withdraw', 'nobody')).code).toBe(1)
    expect((await run('show', 'nobody')).code).toBe(1)
    expect((await run('pay', 'nobody')).code).toBe(1)
  })

  test.each([
    [['schedule', ''], 'INVALID_ORDER_ID: ID: expected'],
    [['show', ''], 'INVALID_ORDER_ID: ID: expected'],
    [['withdraw', ''], 'INVALID_ORDER_ID: ID: expected'],
    [['explain', ''], 'INVALID_ORDER_ID: ID: expected'],
    [['replay', ''], 'INVALID_ORDER_ID: ID: expected'],
    [['schedule', 'a', '--deadline', '2026-01-01T00:00:00'], 'INVALID_DEADLINE: --deadline: expected'],
    [['schedule', 'a', '--deadline', '2020-01-01T00:00:00Z'], '(--allow-past permits it)'],
    [['schedule', 'a', '--timeout', 'soon'], 'INVALID_DEADLINE: --timeout: expected'],
    [['reschedule', 'a', '--timeout', '400d'], 'INVALID_DEADLINE: --timeout: understood as'],
    [['schedule', 'a', '--timeout', '1m', '--deadline', '1'], 'cannot be used with'],
    [['reschedule', 'a'], 'expected --deadline or --timeout'],
    [['brake', 'engage', '--reason', ' '], 'Expected 1 to 200 characters, given 0'],
    [['brake', 'engage', '--reason', 'x'.repeat(201)], 'Expected 1 to 200 characters, given 201'],
    [['brake', 'engage', '--by', ''], 'Expected 1 to 200 characters'],
    [['brake', 'release', '--by', ''], 'Expected 1 to 200 characters'],
    [['shedule', 'a'], '\n  (Did you mean schedule?)\n'],
    [['schedule'], "missing required argument 'id'"],
  ])('%j is refused with code 1 and a clear error', async (args, message) => {
    const { code, stdout, stderr } = await run(...args)
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
  })

  test.each([
    'start',
    'check',
    'migrate',
    'schedule',
    'reschedule',
    'withdraw',
    'pay',
    'show',
    'replay',
    'events',
    'events list',
    'events replay',
    'demo',
    'doctor',
  ])('%s has --help', async (command) => {
    const { code, stdout } = await run(...command.split(' '), '--help')
    expect(code).toBe(0)
    expect(stdout).toContain(`order-expiry ${command}`)
  })

  test('migrate has nothing to create', async () => {
    expect(await run('migrate')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing') })
  })

  test('without Redis, a command fails with code 1 and says so', async () => {
    const { code, stderr } = await runCli(['schedule', 'a'], { env: { REDIS_URL: 'redis://127.0.0.1:1' } })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^REDIS_UNAVAILABLE: /)
  })
})

describe('with the postgres store', () => {
  let table: OrdersTable
  beforeAll(async () => {
    table = await OrdersTable.create()
  })
  afterAll(() => table.drop())
  const run = (...args: string[]) =>
    runCli(args, { env: { ...table.env, REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('commands') } })

  test('migrate prints what it would do, does it, and may be run again', async () => {
    const dry = await run('migrate', '--dry-run')
    expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining('CREATE TABLE IF NOT EXISTS') })
    await expect(table.outbox()).rejects.toThrow('order_expiry_outbox')
    expect((await run('migrate')).code).toBe(0)
    expect((await run('migrate')).code).toBe(0)
    expect(await table.outbox()).toEqual([])
  })

  test('migrate says which index is missing, and creates it if asked to', async () => {
    const create = /^CREATE INDEX CONCURRENTLY order_expiry_unpaid_\w+ ON .*;$/m
    for (const args of [['migrate'], ['migrate', '--index', '--dry-run']]) {
      expect(await run(...args)).toMatchObject({ code: 0, stdout: expect.stringMatching(create) })
    }
    expect((await run('migrate')).stdout).toMatch(/^-- An index is missing: .*\n-- `order-expiry migrate --index`/m)
    expect(await run('migrate', '--index')).toMatchObject({ code: 0, stdout: expect.stringMatching(create) })
    expect((await run('migrate')).stdout).not.toContain('INDEX')
  })

  test("show tells the row of the shop's table", async () => {
    const deadline = Date.now() + 3_600_000
    await table.insert([{ id: '7', deadline }])
    expect(JSON.parse((await run('show', '7', '--json')).stdout)).toEqual({
      orderId: '7',
      order: { status: 'pending', deadline: new Date(deadline).toISOString() },
    })
    expect((await run('show', '8')).code).toBe(1)
  })

  test('pay is refused: the shop marks its own rows', async () => {
    expect(await run('pay', '7')).toMatchObject({ code: 1, stderr: expect.stringMatching(/^NOT_RECORDED_HERE/) })
  })
})

test.each([
  [['explain', 'start'], 143],
  [['--env-file', 'start', 'show', 'start'], 143],
  [['--no-env-file', 'start'], 0],
])('%j that is ended while it waits for Redis: exit code %i', async (args, code) => {
  const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  closing.push(() => silent.close())
  const cwd = mkdtempSync(join(tmpdir(), 'order-expiry-ended-'))
  closing.push(() => rmSync(cwd, { recursive: true }))
  writeFileSync(join(cwd, 'start'), '', { mode: 0o600 })
  const env = { REDIS_URL: `redis://127.0.0.1:${(silent.address() as AddressInfo).port}`, HTTP_PORT: '0' }
  const child = spawn(process.execPath, ['--', CLI, ...args], { cwd, env, stdio: 'ignore' })
  closing.push(() => child.kill('SIGKILL'))
  const [socket] = await once(silent, 'connection')
  closing.push(() => socket.destroy())
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([code, null])
})
