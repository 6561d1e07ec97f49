import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProvider } from '../helpers/open-gateway.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { PayingShop, releaseSlow } from '../helpers/paying-shop.ts'
import { PaymentService } from '../helpers/payment-service.ts'
import { Random } from '../helpers/random.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { Receiver } from '../helpers/receiver.ts'

const ORDERS = 200

test.each([1, 2, 3])(
  'two processes, one of which is killed, buyers who pay at the last moment, a provider that is slow, wrong, silent or acts and loses the answer: no order is cancelled whose payment was captured, and no captured payment goes untold (seed %i)',
  async (seed) => {
    const random = new Random(seed)
    const raw = new RawQueue()
    closing.push(() => raw.close())
    const table = await OrdersTable.create({ hasTrigger: false })
    closing.push(() => table.drop())
    await table.pool.query('ALTER TABLE orders ADD COLUMN payment text')
    await table.migrate()
    const service = await startProvider(PaymentService)
    closing.push(releaseSlow(service, new Random(seed, 'slow')))
    const receiver = await Receiver.start()
    const shop = new PayingShop({ table, service, random, troubles: ORDERS })
    const env = {
      ...{
        REDIS_URL: redisUrl(),
        QUEUE_NAME: raw.name,
        SWEEP_EVERY: '1s',
        ORDERS_PAYMENT_COLUMN: 'payment',
        PAYMENT_RATE: '200',
      },
      ...table.env,
      ...service.env,
      ...receiver.env,
    }
    await shop.place(ORDERS) // no job is added: sweeps add the checks
    const daemons = await Promise.all([DaemonProcess.start(env), DaemonProcess.start(env)])
    for (const daemon of daemons) closing.push(() => daemon.stop())
    await eventually('payments are closed', () => service.closed.length > 10, 30_000)
    await daemons[0]?.stop('SIGKILL')
    const replaced = await DaemonProcess.start(env)
    closing.push(() => replaced.stop())

    await shop.buyersAreDone()
    const isFound = (id: string) =>
      receiver.events.some(({ type, subject }) => type === 'order.payment_found' && subject === id)
    const untold = [...shop.captured.keys()].filter((id) => !shop.noted.has(id))
    await eventually(
      'what can be cancelled is, and what was captured is told of',
      async () => {
        const { rows } = await table.pool.query<{ id: string }>(`SELECT id::text FROM orders WHERE status = 'pending'`)
        return rows.every(({ id }) => shop.captured.has(id)) && untold.every(isFound)
      },
      90_000,
    )
    const { rows } = await table.pool.query<{ id: string; status: string; payment: string | null }>(
      'SELECT id::text, status, payment FROM orders',
    )
    const cancelled = rows.filter(({ status }) => status === 'cancelled')
    expect(cancelled.filter(({ id }) => shop.captured.has(id))).toEqual([])
    expect(cancelled.filter(({ payment }) => payment !== null && shop.payments.get(payment) !== 'closed')).toEqual([])
    expect(cancelled.length).toBeGreaterThan(ORDERS / 3)
    expect(untold.length).toBeGreaterThan(5)
    await receiver.got(cancelled.length + untold.length, 60_000)
    const ids = new Map<string, Set<string>>()
    for (const { id, type, subject } of receiver.events) {
      const of = `${type} ${subject}`
      ids.set(of, (ids.get(of) ?? new Set()).add(id))
    }
    expect([...ids].filter(([, { size }]) => size > 1)).toEqual([])
    expect(receiver.refused).toEqual([])
  },
  180_000,
)
