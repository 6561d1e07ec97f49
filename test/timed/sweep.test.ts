import { describe, expect, test } from '@jest/globals'
import { jobIdOf } from '../../src/queue/contract.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import type { OrdersTable } from '../helpers/orders-table.ts'
import { openSilentShop } from '../helpers/silent-shop.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const MINUTE = 60_000

/** 1 and 2 overdue, 3 overdue but paid, 4 just due, 5 due soon, 6 due later. */
async function placeSix(table: OrdersTable): Promise<void> {
  const now = Date.now()
  await table.insert([
    { id: '1', deadline: now - 2 * MINUTE },
    { id: '2', deadline: now - MINUTE },
    { id: '3', deadline: now - MINUTE, status: 'paid', paidAt: now - 2 * MINUTE },
    { id: '4', deadline: now - 100 },
    { id: '5', deadline: now + 5 * MINUTE },
    { id: '6', deadline: now + 15 * MINUTE },
  ])
}

describe('sweep', () => {
  test('settles what is overdue and gives checks to what is due soon, of rows that nobody enqueued', async () => {
    const { table, raw, env, statuses } = await openSilentShop()
    await placeSix(table)
    const { code, stdout, stderr } = await runCli(['sweep', '--json'], { env })
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual({ overdue: 2, outcomes: { cancelled: 2 }, upcoming: 2, added: 2 })
    expect(await statuses()).toEqual({
      1: 'cancelled',
      2: 'cancelled',
      3: 'paid',
      4: 'pending',
      5: 'pending',
      6: 'pending',
    })
    expect((await table.outbox()).map(({ order_id }) => order_id)).toEqual(['1', '2'])
    const states = await Promise.all(['1', '4', '5', '6'].map((id) => raw.queue.getJobState(jobIdOf(id))))
    expect(states).toEqual(['unknown', 'waiting', 'delayed', 'unknown'])

    const again = await runCli(['sweep'], { env })
    expect([again.code, again.stdout]).toEqual([0, 'overdue   0\nupcoming  2: 0 without a check\n'])
  })

  test('--dry-run prints the same, and changes nothing', async () => {
    const { table, raw, env, statuses } = await openSilentShop()
    await placeSix(table)
    const before = await statuses()
    const { code, stdout } = await runCli(['sweep', '--dry-run', '--json'], { env })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      overdue: 2,
      outcomes: { 'would-cancel': 2 },
      upcoming: 2,
      added: 2,
      wouldCancel: ['1', '2'],
      byAge: { '1h': 2 },
    })
    expect(await statuses()).toEqual(before)
    expect(await table.outbox()).toEqual([])
    expect(await raw.queue.getJobCounts('waiting', 'delayed')).toEqual({ waiting: 0, delayed: 0 })
    const text = await runCli(['sweep', '--dry-run'], { env })
    expect(text.stdout).toContain('would be cancelled: 1 2')
    expect(text.stdout).toMatch(/^ {10}overdue for: .*up to 1h 2$/m)
    expect(text.stdout).toContain('upcoming  2: 2 without a check\n')
  })

  test('with the store away, it says so and its exit code is 1', async () => {
    const { env } = await openSilentShop()
    const { code, stdout, stderr } = await runCli(['sweep', '--json'], {
      env: { ...env, DATABASE_URL: 'postgres://postgres@127.0.0.1:1/x' },
    })
    expect(code).not.toBe(0)
    expect(stdout + stderr).toContain('STORE_UNAVAILABLE')
  })

  test('with Redis away, it is not known whether the brake is engaged: nothing is cancelled, and its exit code is 1', async () => {
    const { table, env, statuses } = await openSilentShop()
    await placeSix(table)
    const proxy = await TcpProxy.to(redisUrl())
    closing.push(() => proxy.close())
    proxy.cut()
    const { code, stdout } = await runCli(['sweep', '--json'], { env: { ...env, REDIS_URL: proxy.urlOf(redisUrl()) } })
    expect([code, JSON.parse(stdout)]).toEqual([
      1,
      expect.objectContaining({ overdue: 2, error: expect.objectContaining({ code: 'REDIS_UNAVAILABLE' }) }),
    ])
    expect(await statuses()).toMatchObject({ 1: 'pending', 2: 'pending' })
  })
})

describe('a daemon that sweeps every second', () => {
  const often = { SWEEP_EVERY: '1s', SWEEP_AHEAD: '10s' }

  test('rescues an overdue order whose check is not coming', async () => {
    const { table, raw, env } = await openSilentShop()
    await table.insert([{ id: '1', deadline: Date.now() - MINUTE }])
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: jobIdOf('1'), delay: 60 * MINUTE })
    const daemon = await DaemonProcess.start({ ...env, ...often })
    closing.push(() => daemon.stop('SIGKILL'))
    await eventually('it is cancelled', async () => (await table.statusOf('1')) === 'cancelled')
    await daemon.until(({ msg }) => msg === 'sweep found orders that had been missed')
    expect((await table.outbox()).map(({ order_id }) => order_id)).toEqual(['1'])
    expect(await daemon.stop()).toBe(0)
  })

  test('names an order that stays unpaid without an error, in log and metrics', async () => {
    const { table, env } = await openSilentShop()
    await table.insert(['1', '2'].map((id) => ({ id, deadline: Date.now() - 3 * MINUTE })))
    const payment = await table.pool.connect()
    await payment.query('BEGIN; SELECT FROM orders WHERE id = 1 FOR UPDATE')
    const daemon = await DaemonProcess.start({ ...env, ...often })
    closing.push(() => daemon.stop('SIGKILL'))
    const line = await daemon.until(({ msg }) => msg.startsWith('overdue orders stay unpaid'))
    expect(line).toMatchObject({ orderId: '1', why: 'locked', orders: 1 })
    const metrics = await (await fetch(`${await daemon.url()}/metrics`)).text()
    expect(metrics).toContain('\norder_expiry_overdue_orders 1\n')
    expect(Number(/\norder_expiry_oldest_overdue_seconds (\S+)\n/.exec(metrics)?.[1])).toBeGreaterThan(180)
    await payment.query('COMMIT')
    payment.release()
    await eventually('nothing is overdue', async () =>
      (await (await fetch(`${await daemon.url()}/metrics`)).text()).includes(
        '\norder_expiry_oldest_overdue_seconds 0\n',
      ),
    )
    expect(await daemon.stop()).toBe(0)
  })
})
