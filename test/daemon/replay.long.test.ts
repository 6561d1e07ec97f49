import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { CLI, DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

let raw: RawQueue
let env: Record<string, string>
beforeEach(async () => {
  raw = new RawQueue()
  await raw.queue.waitUntilReady()
  env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name }
})
afterEach(() => raw.close())

const run = (...args: string[]) => runCli(['replay', ...args], { env })
const failed = () => raw.redis.zrange(raw.queue.toKey('failed'), 0, '-1')

async function pretendFailed(jobs: [jobId: string, reason: string, data?: unknown][]): Promise<void> {
  const pipeline = raw.redis.pipeline()
  for (const [index, [jobId, failedReason, data = { orderId: jobId }]] of jobs.entries()) {
    const fields = {
      name: 'check-payment',
      data: JSON.stringify(data),
      opts: '{}',
      timestamp: Date.now(),
      failedReason,
    }
    pipeline.hset(raw.queue.toKey(jobId), fields)
    pipeline.zadd(raw.queue.toKey('failed'), `${index}`, jobId)
  }
  await pipeline.exec()
}

const MIXED: [string, string, unknown?][] = [
  ['order-1', 'STORE_REJECTED: no\n\u001b[31mluck', { orderId: '1' }],
  ['raw-2', 'STORE_REJECTED: constraint', { orderId: 2 }],
  ['raw-3', 'UNEXPECTED: what', { orderId: '3' }],
  ['bad', 'INVALID_JOB: data', null],
  ['mail', 'UNKNOWN_JOB: send-mail', {}],
]

test('a dry run prints which and how many by error, and changes nothing', async () => {
  await pretendFailed(MIXED)
  const { code, stdout, stderr } = await run('--all', '--dry-run')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.split('\n')).toEqual([
    'order-1  STORE_REJECTED: no\\n\\u001b[31mluck',
    'raw-2  STORE_REJECTED: constraint',
    'raw-3  UNEXPECTED: what',
    expect.stringMatching(/^would replay +3 of 5 failed$/),
    expect.stringMatching(/^ {2}STORE_REJECTED +2$/),
    expect.stringMatching(/^ {2}UNEXPECTED +1$/),
    expect.stringMatching(/^left out +1 INVALID_JOB: .*--code INVALID_JOB$/),
    expect.stringMatching(/^left out +1 UNKNOWN_JOB: /),
    '',
  ])
  expect(JSON.parse((await run('--all', '--dry-run', '--json')).stdout)).toEqual({
    checks: [
      { jobId: 'order-1', code: 'STORE_REJECTED', failedReason: 'STORE_REJECTED: no\n\u001b[31mluck' },
      { jobId: 'raw-2', code: 'STORE_REJECTED', failedReason: 'STORE_REJECTED: constraint' },
      { jobId: 'raw-3', code: 'UNEXPECTED', failedReason: 'UNEXPECTED: what' },
    ],
    dryRun: true,
    failed: 5,
    lookedAt: 5,
    found: 3,
    byCode: { STORE_REJECTED: 2, UNEXPECTED: 1 },
    replayed: 0,
    gone: 0,
    leftOut: { INVALID_JOB: 1, UNKNOWN_JOB: 1 },
  })
  expect(JSON.parse((await run('nobody', '--dry-run', '--json')).stdout)).toMatchObject({ checks: [], found: 0 })
  expect((await failed()).length).toBe(5)
})

test('by order: code 1 if one of them has no failed check, and says for each', async () => {
  await pretendFailed(MIXED)
  const both = await run('1', '2', 'nobody')
  expect(both.code).toBe(1)
  expect(both.stdout).toMatch(/^1 +replayed\n2 +replayed\nnobody +no failed check\nreplayed +2 of 5 failed\n/)
  expect(await failed()).toEqual(['raw-3', 'bad', 'mail'])
  const again = await run('1', '3', '--json')
  expect(again.code).toBe(1)
  expect(JSON.parse(again.stdout)).toMatchObject({
    dryRun: false,
    replayed: 1,
    orders: [
      { orderId: '1', result: 'missing' },
      { orderId: '3', result: 'replayed' },
    ],
  })
  await pretendFailed(MIXED)
  expect((await run('1', '2')).code).toBe(0)
})

test('by error: given more than once or with commas; bad data too, when it is named', async () => {
  await pretendFailed(MIXED)
  const first = await run('--code', 'UNEXPECTED', '--code', 'INVALID_JOB,STORE_BUSY')
  expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/^replayed +2 of 5 failed\n/) })
  expect(await failed()).toEqual(['order-1', 'raw-2', 'mail'])
  expect((await run('--code', 'STORE_BUSY')).code).toBe(0)
  expect(JSON.parse((await run('--all', '--json')).stdout)).toMatchObject({ replayed: 2, leftOut: { UNKNOWN_JOB: 1 } })
  expect(await failed()).toEqual(['mail'])
})

test.each([
  [[], 'expected order ids, --code or --all'],
  [['1', '--all'], 'expected order ids, --code or --all'],
  [['--all', '--code', 'UNEXPECTED'], 'expected order ids, --code or --all'],
  [['1', '--code', 'UNEXPECTED'], 'expected order ids, --code or --all'],
  [['--code', 'STORE_REJECTD'], 'did you mean STORE_REJECTED?'],
  [['--code', 'UNEXPECTED,store_rejected'], 'did you mean STORE_REJECTED?'],
  [['--code', '_JOB'], 'did you mean INVALID_JOB or UNKNOWN_JOB?'],
  [['--code', 'WRONG'], 'expected some of INVALID_ORDER_ID, '],
  [['--code', ''], 'expected some of INVALID_ORDER_ID, '],
  [[''], 'INVALID_ORDER_ID'],
])('%j is refused with code 1, and nothing is replayed', async (args, message) => {
  await pretendFailed(MIXED)
  const { code, stdout, stderr } = await run(...args)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain(message)
  expect((await failed()).length).toBe(5)
})

describe('a long run', () => {
  const MANY = 100_000
  const fill = async () => {
    for (let start = 0; start < MANY; start += 5_000) {
      const numbers = Array.from({ length: 5_000 }, (_, n) => start + n)
      await pretendFailed(numbers.map((n) => [`order-${n}`, 'STORE_REJECTED: x', { orderId: `${n}` }]))
    }
  }

  /** Runs in little memory, and does something at the first sign of progress. */
  async function runLong(options: {
    args?: string[]
    env?: Record<string, string>
    onProgress?: (kill: (signal: NodeJS.Signals) => void) => void
  }): Promise<{ code: number; stdout: string; progress: string[]; tookMs: number }> {
    const startedAt = Date.now()
    const child = spawn(
      process.execPath,
      ['--max-old-space-size=64', CLI, 'replay', '--all', ...(options.args ?? [])],
      {
        env: { PATH: process.env.PATH, ...env, ...options.env },
      },
    )
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      if (stderr === '') options.onProgress?.((signal) => child.kill(signal))
      stderr += chunk
    })
    const [code] = await once(child, 'close')
    return { code, stdout, progress: stderr.split('\n').slice(0, -1), tookMs: Date.now() - startedAt }
  }

  test('says how far it is, a line a second; may be interrupted or lose Redis; run again, it goes on', async () => {
    await fill()
    const interrupted = await runLong({ args: ['--json'], onProgress: (kill) => kill('SIGINT') })
    expect(interrupted.code).toBe(130)
    for (const line of interrupted.progress) expect(line).toMatch(/^replayed [\d,]+ of 100,000$/)
    const first = JSON.parse(interrupted.stdout)
    expect(first).toMatchObject({ failed: MANY, stopped: true })
    expect(first.replayed).toBeGreaterThan(0)
    let left = MANY - first.replayed
    expect((await failed()).length).toBe(left)

    const proxy = await TcpProxy.to(redisUrl())
    const cut = await runLong({ env: { REDIS_URL: proxy.urlOf(redisUrl()) }, onProgress: () => proxy.cut() })
    await proxy.close()
    expect(cut.code).toBe(1)
    expect(cut.stdout).toMatch(/^replayed +[\d,]+ of [\d,]+ failed\n/)
    expect(cut.progress.at(-1)).toMatch(
      /^REDIS_UNAVAILABLE: ended half-way \([\d,]+ replayed, .* run it again to continue\): Redis at .*; try again$/,
    )
    left = (await failed()).length
    expect(left).toBeLessThan(MANY - first.replayed)

    const last = await runLong({ args: ['--json'] })
    expect(last.code).toBe(0)
    expect(JSON.parse(last.stdout)).toMatchObject({ failed: left, replayed: left, gone: 0 })
    expect(last.progress.length).toBeGreaterThan(0)
    expect(last.progress.length).toBeLessThanOrEqual(last.tookMs / 1_000)
    expect(await raw.redis.llen(raw.queue.toKey('wait'))).toBe(MANY)
  })
})

describe('with a daemon', () => {
  let table: OrdersTable
  beforeAll(async () => {
    table = await OrdersTable.create()
    await table.migrate()
  })
  afterAll(() => table.drop())

  test('what is replayed is settled, and a paid order stays', async () => {
    await table.pool.query(`ALTER TABLE orders ADD CONSTRAINT no_cancelling CHECK (status <> 'cancelled')`)
    const settings = { ...table.env, ...env, MAX_ATTEMPTS: '1', LOG_LEVEL: 'debug' }
    const daemon = await DaemonProcess.start(settings)
    try {
      // A sweep would give an order whose check was given up another one, just when that is to be replayed.
      await daemon.until(({ msg }) => msg === 'sweep finished')
      await table.insert(['1', '2'].map((id) => ({ id, deadline: Date.now() - 1_000 })))
      for (const id of ['1', '2']) await runCli(['schedule', id, '--timeout', '1ms'], { env: settings })
      await eventually('both failed', async () => (await failed()).length === 2)
      await table.pool.query(`ALTER TABLE orders DROP CONSTRAINT no_cancelling`)
      await table.pool.query(`UPDATE orders SET status = 'paid' WHERE id = 2`)
      const replayed = await runCli(['replay', '1', '2'], { env: settings })
      expect(replayed).toMatchObject({ code: 0, stderr: '' })
      await eventually('both finished', async () => (await raw.queue.getCompletedCount()) === 2)
      expect(await table.statusOf('1')).toBe('cancelled')
      expect(await table.statusOf('2')).toBe('paid')
    } finally {
      await daemon.stop()
    }
  })

  test('without Redis it fails with code 1 and says so', async () => {
    const { code, stdout, stderr } = await runCli(['replay', '--all', '--json'], {
      env: { REDIS_URL: 'redis://127.0.0.1:1', QUEUE_NAME: uniqueName('replay') },
    })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^REDIS_UNAVAILABLE: /)
  })
})
