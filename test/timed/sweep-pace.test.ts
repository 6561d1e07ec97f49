import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { openSilentShop } from '../helpers/silent-shop.ts'

test('a daemon that sweeps every second cancels rows that were only inserted, on time, by checks that it added itself', async () => {
  const { table, env, statuses } = await openSilentShop()
  const daemon = await DaemonProcess.start({ ...env, SWEEP_EVERY: '1s', SWEEP_AHEAD: '10s' })
  closing.push(() => daemon.stop('SIGKILL'))
  const deadline = Date.now() + 4_000
  const ids = Array.from({ length: 100 }, (_, n) => `${n + 1}`)
  const paid = { status: 'paid', paidAt: Date.now() }
  await table.insert(ids.map((id, n) => ({ id, deadline, ...(n % 2 === 0 && paid) })))
  await eventually('half are cancelled', async () => {
    const found = Object.values(await statuses())
    return found.filter((status) => status === 'cancelled').length === 50
  })
  const { rows } = await table.pool.query(
    `SELECT min(extract(epoch FROM cancelled_at) * 1000)::float8 AS first, max(extract(epoch FROM cancelled_at) * 1000)::float8 AS last FROM orders`,
  )
  expect(rows[0].first).toBeGreaterThanOrEqual(deadline)
  expect(rows[0].last - deadline).toBeLessThan(1_000)
  const metrics = await (await fetch(`${await daemon.url()}/metrics`)).text()
  expect(metrics).toContain('\norder_expiry_sweep_checks_added_total 50\n')
  expect(metrics).toContain('\norder_expiry_sweep_rescued_total 0\n')
  expect(metrics).toContain('order_expiry_decisions_total{outcome="cancelled"} 50')
  expect(await daemon.stop()).toBe(0)
})
