import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { StockShop } from '../helpers/open-stock-shop.ts'
import {
  AT_FIRST,
  AUDIT,
  type Basket,
  basket,
  CANCEL,
  CANCEL_SQL_FILE,
  imbalances,
  PAY,
} from '../helpers/stock-shop.ts'

const HOUR = 3_600_000
const PAGE = readFileSync('docs/stock.md', 'utf8')

/** Of one batch: with lines of one sku; with skus, coupons and customers that others have, too; with nothing at all. */
const BATCH: readonly Basket[] = [
  {
    lines: [
      ['lamp', 2],
      ['chair', 1],
      ['lamp', 3],
    ],
    coupon: 'SPRING',
    points: 5,
  },
  { lines: [['lamp', 7]], coupon: 'SPRING', points: 10 },
  { lines: [], coupon: 'VIP', points: 20, customer: 2 },
  { lines: [['table', 4]], coupon: 'VIP', customer: 2 },
  { lines: [] },
]
const ALL_CANCELLED = BATCH.map(() => 'cancelled')

describe('an order that is placed', () => {
  test('has reserved all its lines, used its coupon once and spent its points', async () => {
    const shop = await StockShop.open()
    await shop.placeAll(BATCH)
    expect(await shop.moved()).toEqual({
      ...{ 'chair free': -1, 'chair reserved': 1, 'lamp free': -12, 'lamp reserved': 12 },
      ...{ 'table free': -4, 'table reserved': 4, 'uses of SPRING': -2, 'uses of VIP': -2 },
      ...{ 'points of customer 1': -15, 'points of customer 2': -20 },
    })
    expect(await imbalances(shop.pool)).toEqual([])
  })

  test.each<[string, string, Basket]>([
    ['pieces', 'enough_stock', { lines: [['lamp', AT_FIRST - 1], ...(BATCH[0]?.lines ?? [])] }],
    ['uses of its coupon', 'enough_uses', { lines: [['chair', 1]], coupon: 'USED_UP' }],
    ['points', 'enough_points', { lines: [['chair', 1]], coupon: 'SPRING', points: AT_FIRST + 1 }],
  ])('is refused where there are too few %s, and takes nothing', async (_what, constraint, taken) => {
    const shop = await StockShop.open()
    await shop.pool.query(`INSERT INTO coupons VALUES ('USED_UP', 0)`)
    await expect(shop.place(taken)).rejects.toMatchObject({ code: '23514', constraint })
    expect(await shop.pending()).toEqual([])
    expect(await shop.moved()).toEqual({ 'uses of USED_UP': -AT_FIRST })
  })

  test('has sold what it had reserved once it is paid, and only once', async () => {
    const shop = await StockShop.open()
    const [id = ''] = await shop.placeAll(BATCH)
    expect([await shop.pay(id), await shop.pay(id)]).toEqual([true, false])
    expect(await shop.moved()).toMatchObject({ 'chair sold': 1, 'lamp free': -12, 'lamp reserved': 7, 'lamp sold': 5 })
    expect(await imbalances(shop.pool)).toEqual([])
  })
})

describe('a cancellation', () => {
  test('gives everything back, of a batch whose orders share skus, coupons and customers', async () => {
    const shop = await StockShop.open()
    const cancel = await shop.canceller()
    const ids = await shop.placeAll(BATCH)
    expect(await cancel(ids)).toEqual(ALL_CANCELLED)
    expect(await shop.moved()).toEqual({})
    expect(await shop.announced()).toEqual(ids)
  })

  test('leaves orders alone that are paid, not due, or not there', async () => {
    const shop = await StockShop.open()
    const cancel = await shop.canceller()
    const [unpaid = '', paid = ''] = await shop.placeAll(BATCH.slice(0, 2))
    await shop.pay(paid)
    const later = await shop.place({ lines: [['chair', 9]], coupon: 'VIP', points: 3 }, Date.now() + HOUR)
    const kinds = await cancel([unpaid, paid, later, '999', 'abc'])
    expect(kinds).toEqual(['cancelled', 'kept', 'postponed', 'missing', 'missing'])
    expect(await shop.pay(unpaid)).toBe(false)
    expect(await shop.moved()).toEqual({
      ...{ 'chair free': -9, 'chair reserved': 9, 'lamp free': -7, 'lamp sold': 7 },
      ...{ 'uses of SPRING': -1, 'uses of VIP': -1, 'points of customer 1': -13 },
    })
  })

  test('happens once, however often and by how many it is asked for', async () => {
    const shop = await StockShop.open()
    const [one, other] = [await shop.canceller(), await shop.canceller()]
    const ids = await shop.placeAll(Array.from({ length: 30 }, (_, n) => basket(n)))
    await shop.place({ lines: [['lamp', 500]], coupon: 'SPRING', points: 500 }, Date.now() + HOUR)
    const twice = [...ids, ...ids]
    const answers = (await Promise.all([one(twice), other(twice), one(twice), other(twice)])).flat()
    await eventually('none is left', async () => {
      const kinds = await one(twice)
      answers.push(...kinds)
      return kinds.every((kind) => kind === 'kept')
    })
    expect(answers.filter((kind) => kind === 'cancelled')).toHaveLength(ids.length)
    expect(await shop.announced()).toEqual(ids)
    expect(await imbalances(shop.pool)).toEqual([])
  })

  test('does not wait for a payment that is under way, which counts once it is committed', async () => {
    const shop = await StockShop.open()
    const cancel = await shop.canceller()
    const ids = await shop.placeAll([{ lines: [['lamp', 2]] }, { lines: [['chair', 3]] }])
    const payment = await shop.pool.connect()
    await payment.query('BEGIN')
    await payment.query(PAY, [ids[0]])
    expect(await cancel(ids)).toEqual(['postponed', 'cancelled'])
    await payment.query('COMMIT')
    payment.release()
    expect(await cancel(ids)).toEqual(['kept', 'kept'])
    expect(await shop.moved()).toEqual({ 'lamp free': -2, 'lamp sold': 2 })
  })

  test('of an order whose sku is locked for long comes later; others do not wait for it', async () => {
    const shop = await StockShop.open()
    const cancel = await shop.canceller()
    const ids = await shop.placeAll(BATCH)
    const other = await shop.pool.connect()
    await other.query(`BEGIN; SELECT FROM stock WHERE sku = 'lamp' FOR UPDATE`)
    expect(await cancel(ids)).toEqual(['STORE_LOCKED', 'STORE_LOCKED', 'cancelled', 'cancelled', 'cancelled'])
    expect(await shop.moved()).toEqual({
      ...{ 'chair free': -1, 'chair reserved': 1, 'lamp free': -12, 'lamp reserved': 12 },
      ...{ 'uses of SPRING': -2, 'points of customer 1': -15 },
    })
    await other.query('COMMIT')
    other.release()
    expect(await cancel(ids)).toEqual(['cancelled', 'cancelled', 'kept', 'kept', 'kept'])
    expect(await shop.moved()).toEqual({})
  })

  test('leaves nothing behind if its event cannot be written', async () => {
    const shop = await StockShop.open()
    const cancel = await shop.canceller()
    const ids = await shop.placeAll(BATCH)
    await shop.pool.query(`ALTER TABLE order_expiry_outbox ADD CHECK (order_id <> '${ids[0]}')`)
    expect(await cancel(ids)).toEqual(['STORE_REJECTED', 'cancelled', 'cancelled', 'cancelled', 'cancelled'])
    expect(await shop.pending()).toEqual(ids.slice(0, 1))
    expect(await imbalances(shop.pool)).toEqual([])
  })

  test('needs no more than the privileges that the page names', async () => {
    const shop = await StockShop.open()
    const { schema, pool } = shop.table
    const role = uniqueName('expiry')
    const grants = [readFileSync('docs/postgres.md', 'utf8'), PAGE].map(
      (page) => /```sql\n(GRANT .*?)```/s.exec(page)?.[1],
    )
    await pool.query(`CREATE ROLE ${role} LOGIN`)
    closing.push(() => pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
    await pool.query(
      grants.join('').replace('SCHEMA public', `SCHEMA ${schema}`).replaceAll('TO order_expiry;', `TO ${role};`),
    )
    const cancel = await shop.canceller({ as: role })
    expect(await cancel(await shop.placeAll(BATCH))).toEqual(ALL_CANCELLED)
    expect(await shop.moved()).toEqual({})
  })
})

test('payments, cancellations and new orders at the same moment lose nothing', async () => {
  const shop = await StockShop.open()
  const cancellers = [await shop.canceller(), await shop.canceller()]
  const deadline = Date.now() + 500
  const ids = await Promise.all(Array.from({ length: 200 }, (_, n) => shop.place(basket(n), deadline + (n % 40) * 10)))
  const unpaid = new Set(ids.filter((_, n) => n % 2 === 0))
  const paid: string[] = []
  const tooLate: string[] = []
  const pay = async () => {
    while (unpaid.size > 0) {
      // As late as a buyer can be: when the deadline has come, or up to 30 ms later.
      const { rows } = await shop.pool.query<{ id: string }>(
        `SELECT id FROM orders WHERE id = ANY ($1)
           AND payment_deadline + id % 30 * interval '1 ms' <= clock_timestamp()`,
        [[...unpaid]],
      )
      for (const { id } of rows) unpaid.delete(id)
      await Promise.all(rows.map(async ({ id }) => ((await shop.pay(id)) ? paid : tooLate).push(id)))
    }
  }
  const cancelAndPlace = async (cancel: (ids: readonly string[]) => Promise<string[]>) => {
    for (let some = await shop.pending(); some.length > 0; some = await shop.pending()) {
      await cancel(some)
      if (unpaid.size > 0) await shop.place(basket(some.length))
    }
  }
  await Promise.all([pay(), ...cancellers.map(cancelAndPlace)])

  expect(paid.length).toBeGreaterThan(0)
  expect(tooLate.length).toBeGreaterThan(0)
  const cancelled = await shop.cancelled()
  expect(cancelled.filter((id) => paid.includes(id))).toEqual([])
  expect(cancelled).toEqual(expect.arrayContaining(tooLate))
  expect(await shop.announced()).toEqual(cancelled)
  expect(await imbalances(shop.pool)).toEqual([])
})

test('a daemon with the settings of the page gives back what is not paid in the last moment', async () => {
  const shop = await StockShop.open()
  const [, ini = ''] = /```ini\n(.*?)```/s.exec(PAGE) ?? []
  const env: Record<string, string> = Object.fromEntries(
    [...ini.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  )
  expect(env.CANCEL_SQL_FILE).toBe(CANCEL_SQL_FILE)
  const daemon = await DaemonProcess.start({
    ...env,
    ...{ CANCEL_SQL_FILE: resolve(CANCEL_SQL_FILE), DATABASE_URL: shop.url },
    ...{ REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('stock'), SWEEP_EVERY: '1s' },
  })
  closing.push(() => daemon.stop('SIGKILL'))
  const deadline = Date.now() + 1_500
  await Promise.all(Array.from({ length: 90 }, (_, n) => shop.place(basket(n), deadline + n * 10)))
  const lastMoment = `payment_deadline <= clock_timestamp() + interval '20 ms'`
  await eventually('each is paid or cancelled', async () => {
    const { rows } = await shop.pool.query<{ id: string }>(
      `SELECT id FROM orders WHERE status = 'pending' AND id % 2 = 0 AND ${lastMoment}`,
    )
    await Promise.all(rows.map(({ id }) => shop.pay(id)))
    return (await shop.pending()).length === 0
  })
  const cancelled = await shop.cancelled()
  expect(cancelled.length).toBeGreaterThanOrEqual(45)
  expect(await shop.announced()).toEqual(cancelled)
  expect(await imbalances(shop.pool)).toEqual([])
  expect(await daemon.stop()).toBe(0)
})

/* By the same holdings the fault suite judges. */
describe('it is noticed if in cancel.sql', () => {
  const replacing = (from: string, to: string) => (sql: string) => sql.replace(from, to)

  test.each<[string, (sql: string) => string]>([
    [
      'nothing is summed up per sku',
      (sql) => sql.replace('sum(l.quantity)', 'l.quantity').replace('  GROUP BY l.sku\n', ''),
    ],
    ['nothing is summed up per coupon', replacing('count(*) AS uses', '1 AS uses')],
    ['nothing is summed up per customer', replacing('sum(points) AS points', 'max(points) AS points')],
    [
      'orders that are cancelled already are cancelled again',
      replacing("o.status = 'pending' AND o.paid_at IS NULL\n      AND", ''),
    ],
    ['lines come back of what is wanted, not of what is cancelled', replacing('cancelled c JOIN', 'wanted c JOIN')],
    ['it is not taken from what is reserved', replacing(', reserved = s.reserved - r.quantity', '')],
    ['coupons stay used', replacing('uses_left = c.uses_left + u.uses', 'uses_left = c.uses_left')],
    ['points stay spent', replacing('points = c.points + u.points', 'points = c.points')],
  ])('%s', async (_what, mistake) => {
    const shop = await StockShop.open()
    const cancelSql = mistake(CANCEL)
    expect(cancelSql).not.toBe(CANCEL)
    const cancel = await shop.canceller({ cancelSql })
    for (const sku of ['chair', 'lamp', 'table']) await shop.place({ lines: [[sku, 100]] }, Date.now() + HOUR)
    const ids = await shop.placeAll(BATCH)
    await cancel(ids)
    await cancel(ids)
    expect(await imbalances(shop.pool)).not.toEqual([])
  })
})

test('audit.sql tells of a sku that does not add up, and of no other', async () => {
  const shop = await StockShop.open()
  const [id = ''] = await shop.placeAll(BATCH)
  await shop.pay(id)
  expect((await shop.pool.query(AUDIT)).rows).toEqual([])
  await shop.pool.query(`UPDATE stock SET free = free + 1, reserved = reserved - 1 WHERE sku = 'lamp'`)
  expect((await shop.pool.query(AUDIT)).rows).toEqual([
    { sku: 'lamp', reserved: 6, sold: 5, should_be_reserved: '7', should_be_sold: '5' },
  ])
})
