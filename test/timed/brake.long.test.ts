import { describe, expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { databaseUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { openShop } from '../helpers/open-shop.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

async function openCountedShop() {
  const { table, raw, env: shopEnv } = await openShop()
  const env = { ...shopEnv, SWEEP_EVERY: '1s', SWEEP_AHEAD: '10s' }
  const count = async (status: string): Promise<number> =>
    (await table.pool.query('SELECT count(*)::int AS n FROM orders WHERE status = $1', [status])).rows[0].n
  /** Places overdue orders, each with a job. */
  const place = async (ids: readonly number[], status = 'pending') => {
    const deadline = Date.now() - 10_000
    await table.insert(ids.map((id) => ({ id: `${id}`, status, deadline })))
    await raw.queue.addBulk(ids.map((id) => ({ name: 'check-payment', data: { orderId: `${id}`, deadline } })))
  }
  const isLookedAt = (total: number) =>
    eventually('every check has been looked at', async () => {
      const { waiting = 0, active = 0, delayed = 0, completed = 0 } = await raw.queue.getJobCounts()
      return waiting + active === 0 && delayed + completed >= total
    })
  return { table, raw, env, count, place, isLookedAt }
}

async function start(env: Record<string, string>): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop('SIGKILL'))
  return daemon
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)
/** The page of metrics is kept for a second. */
const untilMetrics = (daemon: DaemonProcess, pattern: RegExp) =>
  eventually(`/metrics has ${pattern}`, async () => pattern.test(await metricsOf(daemon)))
const metricsOf = async (daemon: DaemonProcess) => await (await fetch(`${await daemon.url()}/metrics`)).text()
const brake = async (env: Record<string, string>, ...args: string[]) => {
  const { code, stdout, stderr } = await runCli(['brake', ...args, '--json'], { env })
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

test('engaged by hand, nothing is cancelled and paid orders are kept; released, all is cancelled', async () => {
  const { raw, env, count, place, isLookedAt } = await openCountedShop()
  expect(await brake(env, 'status')).toMatchObject({ brake: 'released', maxPerMinute: 'off' })
  const daemon = await start(env)
  expect(await brake(env, 'engage')).toMatchObject({ brake: 'engaged', reason: 'manual', by: expect.any(String) })
  await daemon.until(({ msg }) => msg.startsWith('the brake is engaged (manual)'))
  await place(range(1, 20))
  await place(range(21, 30), 'paid')
  await isLookedAt(30)
  await daemon.until(({ msg, level }) => level === 'error' && msg.startsWith('the brake holds back orders'))
  expect([await count('pending'), await count('cancelled'), await raw.queue.getCompletedCount()]).toEqual([20, 0, 10])
  await untilMetrics(daemon, /^order_expiry_brake_engaged 1$/m)

  expect(await brake(env, 'release')).toMatchObject({ brake: 'released', suspendedUntil: expect.any(String) })
  await eventually('all are cancelled', async () => (await count('cancelled')) === 20, 30_000)
  await daemon.until(({ msg }) => msg.startsWith('the brake is released'))
  expect(await count('paid')).toBe(10)
  await untilMetrics(daemon, /^order_expiry_brake_engaged 0$/m)
  expect(await daemon.stop()).toBe(0)
})

test('BRAKE_MAX_PER_MINUTE=10 of two daemons lets ten of fifty through, says so, and SIGTERM still exits 0', async () => {
  const { env, count, place, isLookedAt } = await openCountedShop()
  const limited = { ...env, BRAKE_MAX_PER_MINUTE: '10' }
  const daemons = await Promise.all([start(limited), start(limited)])
  await place(range(1, 50))
  await isLookedAt(50)
  await Promise.race(
    daemons.map((daemon) =>
      daemon.until(({ msg, level }) => level === 'error' && /brake is engaged \(limit\)/.test(msg)),
    ),
  )
  // Sweeps come every second beside the checks.
  await Promise.all(daemons.map((daemon) => daemon.until(({ msg }) => msg.startsWith('the brake is engaged'))))
  for (const daemon of daemons) await untilMetrics(daemon, /^order_expiry_brake_engaged 1$/m)
  expect([await count('cancelled'), await count('pending')]).toEqual([10, 40])
  expect(await brake(limited, 'status')).toMatchObject({
    brake: 'engaged',
    reason: 'limit',
    maxPerMinute: 10,
    lastMinute: 10,
  })
  expect(await Promise.all(daemons.map((daemon) => daemon.stop()))).toEqual([0, 0])
  expect(await count('cancelled')).toBe(10)

  await brake(limited, 'release', '--for', '5m')
  const daemon = await start(limited)
  await eventually('the rest is cancelled', async () => (await count('cancelled')) === 50, 30_000)
  expect(await daemon.stop()).toBe(0)
})

test('BRAKE_PAYMENT_SILENCE: with a payment long ago nothing is cancelled', async () => {
  const { table, env, count, place, isLookedAt } = await openCountedShop()
  await table.insert([{ id: '99', status: 'paid', deadline: Date.now(), paidAt: Date.now() - 600_000 }])
  const daemon = await start({ ...env, BRAKE_PAYMENT_SILENCE: '5m' })
  await place(range(1, 20))
  await isLookedAt(20)
  await daemon.until(({ msg }) => msg.startsWith('the brake is engaged (payment-silence)'))
  expect([await count('cancelled'), await count('pending')]).toEqual([0, 20])
})

test('BRAKE_PAYMENT_SILENCE: where the newest payment cannot be read, the store is to blame, and nothing is cancelled', async () => {
  const { table, raw, env, count, place } = await openCountedShop()
  await table.insert([{ id: '99', status: 'paid', deadline: Date.now(), paidAt: Date.now() }])
  await table.pool.query(`CREATE VIEW unreadable AS SELECT id, status, payment_deadline, cancelled_at,
    CASE WHEN status = 'paid' THEN to_timestamp(1 / (id - id)) ELSE paid_at END AS paid_at FROM orders`)
  const ofView = { ...env, ORDERS_TABLE: `${table.schema}.unreadable`, BRAKE_PAYMENT_SILENCE: '5m' }
  expect(await runCli(['migrate'], { env: ofView })).toMatchObject({ code: 0 })
  const daemon = await start(ofView)
  await place(range(1, 20))
  const { msg } = await daemon.until((line) => line.msg.startsWith('the order store fails'))
  expect(msg).toMatch(/the newest payment cannot be read .*division by zero/)
  await untilMetrics(daemon, /store_failures_total\{code="STORE_UNAVAILABLE"\} [1-9]/)
  expect(daemon.logs.filter((line) => line.msg.startsWith('the brake'))).toEqual([])
  expect([await count('cancelled'), await raw.queue.getFailedCount()]).toEqual([0, 0])
})

test('a Redis that has fallen back to older data does not release the brake', async () => {
  const { raw, env, count, place, isLookedAt } = await openCountedShop()
  const daemon = await start(env)
  await brake(env, 'release', '--for', '1s')
  const key = `{bull:${raw.name}}:brake`
  const older = await raw.redis.dumpBuffer(key)
  await brake(env, 'engage')
  await daemon.until(({ msg }) => msg.startsWith('the brake is engaged (manual)'))
  await raw.redis.restore(key, 0, older as Buffer, 'REPLACE')
  await eventually('the daemon has written it back', async () => (await brake(env, 'status')).brake === 'engaged')
  await place(range(1, 20))
  await isLookedAt(20)
  expect(await count('cancelled')).toBe(0)
  await untilMetrics(daemon, /brake_held_total\{reason="manual"\} [1-9]/)
})

test('`sweep` notices a brake that is engaged while it runs', async () => {
  const { table, env, count } = await openCountedShop()
  await table.insert(range(1, 200).map((id) => ({ id: `${id}`, deadline: Date.now() - 10_000 })))
  await table.pool.query(`
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION slow()`)
  const sweeping = runCli(['sweep'], { env: { ...env, BATCH_SIZE: '5' } })
  await eventually('it cancels', async () => (await count('cancelled')) > 0)
  await brake(env, 'engage')
  await sweeping
  const cancelled = await count('cancelled')
  expect(cancelled).toBeLessThan(150)
  expect(await count('pending')).toBe(200 - cancelled)
})

test('DRY_RUN=true reports each order once and cancels nothing; without it, all is settled', async () => {
  const { table, env, count, place, isLookedAt } = await openCountedShop()
  const dry = await start({ ...env, DRY_RUN: 'true' })
  await place(range(1, 20))
  await place(range(21, 22), 'paid')
  await isLookedAt(22)
  const reports = () => dry.logs.filter(({ msg }) => msg === 'dry run: this order would be cancelled')
  /** With those that are only counted, so that the log stays short. */
  const reported = () =>
    dry.logs
      .filter(({ msg }) => msg === 'dry run: more orders would be cancelled')
      .reduce((sum, { orders }) => sum + Number(orders), reports().length)
  await eventually('all are reported', () => reported() >= 20)
  const sweeps = async () => Number(/sweeps_total\{result="complete"\} (\d+)/.exec(await metricsOf(dry))?.[1] ?? 0)
  const before = await sweeps()
  await eventually('it has swept twice more', async () => (await sweeps()) >= before + 2)
  expect(reported()).toBe(20)
  const ids = reports().map(({ orderId }) => Number(orderId))
  expect(range(1, 20)).toEqual(expect.arrayContaining(ids))
  expect(new Set(ids).size).toBe(ids.length)
  expect([await count('pending'), await count('cancelled'), await table.outbox()]).toEqual([20, 0, []])
  await untilMetrics(dry, /^order_expiry_dry_run 1$/m)
  await untilMetrics(dry, /^order_expiry_decisions_total\{outcome="would-cancel"\} 20/m)
  expect(await dry.stop()).toBe(0)

  const daemon = await start({ ...env, DRY_RUN: 'false' })
  await eventually('all are cancelled', async () => (await count('cancelled')) === 20, 30_000)
  expect((await table.outbox()).length).toBe(20)
  expect(await daemon.stop()).toBe(0)
})

describe('while the store is away', () => {
  test('the breaker opens, the failed set stays empty, SIGTERM exits 0; and it goes on by itself when it is back', async () => {
    const { raw, env, count, place } = await openCountedShop()
    const proxy = await TcpProxy.to(databaseUrl())
    closing.push(() => proxy.close())
    const away = { ...env, DATABASE_URL: proxy.urlOf(databaseUrl()) }
    const [stopped, staying] = await Promise.all([start(away), start(away)])
    proxy.cut()
    await place(range(1, 1_000))
    const isOpen = (daemon: DaemonProcess) =>
      eventually('the breaker is open', async () =>
        (await metricsOf(daemon)).includes('\norder_expiry_store_breaker_open 1\n'),
      )
    await Promise.all([isOpen(stopped), isOpen(staying)])
    expect(await stopped.stop()).toBe(0)
    proxy.heal()
    await eventually('all are cancelled', async () => (await count('cancelled')) === 1_000, 30_000)
    await eventually('the breaker is closed', async () =>
      (await metricsOf(staying)).includes('\norder_expiry_store_breaker_open 0\n'),
    )
    expect(await raw.queue.getFailedCount()).toBe(0)
    expect(await staying.stop()).toBe(0)
  })
})
