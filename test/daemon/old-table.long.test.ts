import { describe, expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const MINUTE = 60_000
const TWO_YEARS = 730 * 86_400_000
const OLD = 3_000
const LIMIT = 100

/**
 * A table that `migrate` sees for the first time, with unpaid orders of two years ago, 1 to 3,000; `fresh`, due a minute ago;
 * and `year-1`, which is not readable.
 */
async function openOldTable() {
  const table = await OrdersTable.create({ idType: 'text' })
  const raw = new RawQueue()
  closing.push(
    () => table.drop(),
    () => raw.close(),
  )
  const env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env }
  const now = Date.now()
  await table.insert([
    ...Array.from({ length: OLD }, (_, n) => ({ id: `${n + 1}`, deadline: now - TWO_YEARS + n })),
    { id: 'fresh', deadline: now - MINUTE },
    { id: 'year-1', deadline: Date.parse('0001-01-01') },
  ])
  expect((await runCli(['migrate', '--index'], { env })).code).toBe(0)
  const sweep = async (args: readonly string[], more: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await runCli(['sweep', ...args, '--json'], { env: { ...env, ...more } })
    expect(stderr).toBe('')
    return { code, ...JSON.parse(stdout) }
  }
  return { table, raw, env, sweep, oldest: now - TWO_YEARS }
}

async function countOf(table: OrdersTable): Promise<Record<string, number>> {
  const { rows } = await table.pool.query('SELECT status, count(*)::int AS n FROM orders GROUP BY status')
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]))
}

async function idsInOutbox(table: OrdersTable): Promise<string[]> {
  return (await table.outbox()).map(({ order_id }) => order_id)
}

async function startOften(env: Record<string, string>): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start({ ...env, SWEEP_EVERY: '1s', MAX_ATTEMPTS: '1' })
  closing.push(() => daemon.stop('SIGKILL'))
  return daemon
}

describe('a first start on a table with old unpaid orders', () => {
  test('cancels what is freshly due, leaves the others alone, and says so in log, metrics and stories', async () => {
    const { table, env } = await openOldTable()
    const daemon = await startOften(env)
    const backlog = await daemon.until(({ why }) => why === 'backlog')
    expect(backlog).toMatchObject({ level: 'warn', orders: OLD, msg: expect.stringContaining('730.0 days ago') })
    const unreadable = await daemon.until(({ why }) => why === 'unreadable')
    expect(unreadable).toMatchObject({ level: 'warn', orders: 1, examples: ['year-1'] })
    await eventually('the fresh one is cancelled', async () => (await table.statusOf('fresh')) === 'cancelled')
    const url = await daemon.url()
    const read = async (path: string) => (await fetch(url + path)).text()
    const metrics = await read('/metrics')
    expect(metrics).toContain(`\norder_expiry_set_aside_orders{why="backlog"} ${OLD}\n`)
    expect(metrics).toContain('\norder_expiry_set_aside_orders{why="unreadable"} 1\n')
    expect(metrics).toContain('\norder_expiry_overdue_orders 0\n')
    expect(await read('/')).toMatch(/Backlog.*3,000/)

    const sweeps = async () => Number(/sweeps_total\{result="complete"\} (\d+)/.exec(await read('/metrics'))?.[1])
    const before = await sweeps()
    await eventually('it has swept some more', async () => (await sweeps()) >= before + 3)
    expect(await countOf(table)).toEqual({ pending: OLD + 1, cancelled: 1 })
    expect(await idsInOutbox(table)).toEqual(['fresh'])
    expect(daemon.logs.filter(({ why }) => why === 'backlog' || why === 'unreadable')).toHaveLength(2)

    const explain = async (id: string) => JSON.parse((await runCli(['explain', id, '--json'], { env })).stdout).verdict
    expect(await explain('1')).toMatch(/^Backlog: overdue since .*left alone until `order-expiry sweep --backlog`\.$/)
    expect(await explain('year-1')).toMatch(/^Set aside: its deadline 0001-01-01T00:00:00.000Z cannot be meant/)
    const order = { status: 'pending', setAside: 'backlog' }
    expect(JSON.parse((await runCli(['show', '1', '--json'], { env })).stdout)).toMatchObject({ order })
    expect(JSON.parse(await read('/v1/orders/1'))).toMatchObject({ order })
    expect(await read('/orders/1')).toContain('left alone until')
    expect(await daemon.stop()).toBe(0)
  })

  test('cancels an old one whose check somebody has added on purpose; no check cancels an unreadable one', async () => {
    const { table, raw, env } = await openOldTable()
    const daemon = await startOften(env)
    for (const orderId of ['7', 'year-1']) await raw.queue.add('check-payment', { orderId, deadline: Date.now() })
    await eventually('it is cancelled', async () => (await table.statusOf('7')) === 'cancelled')
    await daemon.until(({ msg, orderId }) => msg.startsWith('check given up') && orderId === 'year-1')
    await eventually('the fresh one is cancelled', async () => (await table.statusOf('fresh')) === 'cancelled')
    expect(await countOf(table)).toEqual({ pending: OLD, cancelled: 2 })
    expect((await idsInOutbox(table)).sort()).toEqual(['7', 'fresh'])
    expect(await daemon.stop()).toBe(0)
  })
})

describe('sweep --backlog', () => {
  test('settles the backlog and nothing else, each order with one event; --dry-run only counts', async () => {
    const { table, env, sweep, oldest } = await openOldTable()
    const setAside = {
      backlog: { orders: OLD, oldest: new Date(oldest).toISOString() },
      unreadable: { orders: 1, examples: ['year-1'] },
    }
    expect(await sweep(['--dry-run'])).toMatchObject({ code: 0, setAside, overdue: 1, wouldCancel: ['fresh'] })
    const dry = await sweep(['--backlog', '--dry-run'])
    expect(dry).toMatchObject({ code: 0, setAside, overdue: OLD, outcomes: { 'would-cancel': OLD } })
    expect(new Set(dry.wouldCancel).size).toBe(OLD)
    expect(await countOf(table)).toEqual({ pending: OLD + 2 })

    const text = await runCli(['sweep', '--dry-run'], { env })
    expect(text.stdout.split('\n').slice(0, 4)).toEqual([
      expect.stringMatching(/^set aside backlog: 3,000 unpaid orders overdue for more than a day .*730\.0 days ago$/),
      expect.stringContaining('`order-expiry sweep --backlog --dry-run`'),
      'set aside unreadable: 1 unpaid order with a deadline that cannot be meant (before 2001), such as year-1',
      expect.stringContaining('never cancelled'),
    ])

    expect(await sweep(['--backlog'])).toMatchObject({ code: 0, overdue: OLD, outcomes: { cancelled: OLD } })
    expect(await countOf(table)).toEqual({ pending: 2, cancelled: OLD })
    const ids = await idsInOutbox(table)
    expect([ids.length, new Set(ids).size]).toEqual([OLD, OLD])
    expect(await sweep(['--backlog'])).toMatchObject({ code: 0, overdue: 0, outcomes: {} })
  })

  test('is held by the brake, and goes on after its release', async () => {
    const { table, env, sweep } = await openOldTable()
    const limited = { BRAKE_MAX_PER_MINUTE: `${LIMIT}` }
    expect(await sweep(['--backlog'], limited)).toMatchObject({
      outcomes: { cancelled: LIMIT },
      left: { oldest: { why: 'brake' } },
    })
    expect((await countOf(table)).cancelled).toBe(LIMIT)
    const text = await runCli(['sweep', '--backlog'], { env: { ...env, ...limited } })
    expect(text.stdout).toContain('`order-expiry brake release')
    expect((await countOf(table)).cancelled).toBe(LIMIT)
    expect((await runCli(['brake', 'release'], { env: { ...env, ...limited } })).code).toBe(0)
    expect(await sweep(['--backlog'], limited)).toMatchObject({ outcomes: { cancelled: OLD - LIMIT } })
    expect(await countOf(table)).toEqual({ pending: 2, cancelled: OLD })
  })
})
