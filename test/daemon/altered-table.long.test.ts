import { expect, test } from '@jest/globals'
import { LATE_AFTER_MS } from '../../src/order/promise.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const ORDERS = ['1', '2', '3', '4', '5']
const DUE_IN_MS = 1_000

/** A shop whose daemon gives an order up with its first failure, and logs in as a role of its own. */
async function openShop() {
  const table = await OrdersTable.create({ statusType: 'enum' })
  await table.migrate()
  const raw = new RawQueue()
  const role = uniqueName('role')
  await table.pool.query(
    `CREATE ROLE ${role} LOGIN; GRANT ALL ON SCHEMA ${table.schema} TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA ${table.schema} TO ${role}`,
  )
  const url = new URL(databaseUrl())
  url.username = role
  const env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env, DATABASE_URL: url.href, MAX_ATTEMPTS: '1' }
  const daemon = await DaemonProcess.start(env)
  closing.push(async () => {
    await daemon.stop()
    await raw.close()
    await table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    await table.drop()
  })
  return { table, raw, role, daemon }
}

/** What somebody does to the table while the daemon runs, and how it is put right. `$role` is that of the daemon. */
const ALTERATIONS: readonly [what: string, alter: string, repair: string][] = [
  [
    'the label of the unpaid status renamed',
    `ALTER TYPE order_status RENAME VALUE 'pending' TO 'open'`,
    `ALTER TYPE order_status RENAME VALUE 'open' TO 'pending'`,
  ],
  [
    'the label of the cancelled status renamed',
    `ALTER TYPE order_status RENAME VALUE 'cancelled' TO 'canceled'`,
    `ALTER TYPE order_status RENAME VALUE 'canceled' TO 'cancelled'`,
  ],
  [
    'the status dropped',
    'ALTER TABLE orders DROP COLUMN status CASCADE',
    `ALTER TABLE orders ADD COLUMN status order_status NOT NULL DEFAULT 'pending'`,
  ],
  [
    'the deadline dropped',
    'ALTER TABLE orders DROP COLUMN payment_deadline',
    'ALTER TABLE orders ADD COLUMN payment_deadline timestamptz DEFAULT now()',
  ],
  [
    'the time of payment dropped',
    'ALTER TABLE orders DROP COLUMN paid_at',
    'ALTER TABLE orders ADD COLUMN paid_at timestamptz',
  ],
  [
    'the time of cancellation dropped',
    'ALTER TABLE orders DROP COLUMN cancelled_at',
    'ALTER TABLE orders ADD COLUMN cancelled_at timestamptz',
  ],
  ['the table renamed', 'ALTER TABLE orders RENAME TO orders_2', 'ALTER TABLE orders_2 RENAME TO orders'],
  ['UPDATE revoked', 'REVOKE UPDATE ON orders FROM $role', 'GRANT UPDATE ON orders TO $role'],
]

test.each(ALTERATIONS)(
  'with %s while it runs, no order is to blame: the store is red until it is put right',
  async (...given) => {
    const [, alter, repair] = given
    const { table, raw, role, daemon } = await openShop()
    const base = await daemon.url()
    const deadline = Date.now() + DUE_IN_MS
    await table.insert(ORDERS.map((id) => ({ id, deadline })))
    await table.pool.query(alter.replace('$role', role))
    await raw.queue.addBulk(
      ORDERS.map((orderId) => ({
        name: 'check-payment',
        data: { orderId, deadline },
        opts: { jobId: `mine-${orderId}`, delay: DUE_IN_MS },
      })),
    )
    const opened = await daemon.until(({ msg }) => msg.startsWith('the order store fails'))
    expect(opened.msg).toMatch(/PostgreSQL: .*(pending|cancelled|status|payment_deadline|paid_at|cancelled_at|orders)/)
    const readyz = await fetch(`${base}/readyz`)
    const { checks } = (await readyz.json()) as { checks: { name: string; status: string; reason?: string }[] }
    const unwell = checks.filter(({ status }) => status !== 'ok')
    const reason = expect.stringMatching(/^STORE_(MISMATCH|REFUSED)\b/)
    expect([readyz.status, unwell]).toEqual([503, [{ name: 'store', status: 'unavailable', reason }]])

    await table.pool.query(repair.replace('$role', role))
    const finished = async () => {
      // A sweep may have given the orders checks of its own.
      const jobs = (await raw.queue.getCompleted()).filter(({ id }) => id?.startsWith('mine-'))
      return jobs.length === ORDERS.length ? jobs : undefined
    }
    const jobs = await eventually('all are finished, as promised after an outage', finished, LATE_AFTER_MS)
    for (const job of jobs) {
      // Of two checks of an order, the other finds it cancelled. A statement that was prepared before knows a renamed label.
      expect(job).toMatchObject({
        attemptsMade: 1,
        returnvalue: { status: expect.stringMatching(/^(pending|open|cancell?ed)$/) },
      })
      expect(job.failedReason).toBeUndefined()
    }
    expect(await Promise.all(ORDERS.map((id) => table.statusOf(id)))).toEqual(ORDERS.map(() => 'cancelled'))
    await eventually('it is ready again', async () => ((await fetch(`${base}/readyz`)).ok ? true : undefined))
  },
)
