import { expect, test } from '@jest/globals'
import { eventually } from '../helpers/eventually.ts'
import { StockShop } from '../helpers/open-stock-shop.ts'
import { type Basket, CANCEL, PAY, PLACE, placing } from '../helpers/stock-shop.ts'

/* The statements of docs/stock.md lock rows in one order, so no two of them can wait for each other. */

const STOCK = ["stock WHERE sku = 'chair'", "stock WHERE sku = 'lamp'", "stock WHERE sku = 'table'"]
const [SPRING, VIP] = ["coupons WHERE code = 'SPRING'", "coupons WHERE code = 'VIP'"]
const [ONE, TWO] = ['customers WHERE id = 1', 'customers WHERE id = 2']

const lines: Basket['lines'] = [
  ['table', 1],
  ['chair', 1],
  ['lamp', 1],
]

test.each<[string, string[], (shop: StockShop) => Promise<[sql: string, values: unknown[]]>]>([
  [
    'cancel.sql',
    [...STOCK, SPRING, VIP, ONE, TWO],
    async (shop) => {
      const both = [
        { lines, coupon: 'VIP', points: 1, customer: 2 },
        { lines, coupon: 'SPRING', points: 1, customer: 1 },
      ]
      const ids = await shop.placeAll(both)
      return [CANCEL, [ids, ids.map(() => new Date())]]
    },
  ],
  ['place.sql', [...STOCK, SPRING, ONE], async () => [PLACE, placing(0, { lines, coupon: 'SPRING', points: 1 })]],
  ['pay.sql', STOCK, async (shop) => [PAY, await shop.placeAll([{ lines }])]],
])('%s locks stock by sku, then coupons by code, then customers by id', async (_file, rows, prepare) => {
  const shop = await StockShop.open()
  const statement = await prepare(shop)
  for (const [index, row] of rows.entries()) {
    expect([row, await freeBehind(shop, { row, rows, statement })]).toEqual([row, rows.slice(index + 1)])
  }
})

/** @returns the rows that are free while the statement waits for one of them. It is undone afterwards. */
async function freeBehind(
  { pool }: StockShop,
  { row, rows, statement: [sql, values] }: { row: string; rows: string[]; statement: [string, unknown[]] },
): Promise<string[]> {
  const [holder, waiter] = [await pool.connect(), await pool.connect()]
  await holder.query(`BEGIN; SELECT FROM ${row} FOR UPDATE`)
  await waiter.query('BEGIN')
  const { rows: own } = await waiter.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const done = waiter.query(sql, values)
  await eventually(`the statement waits for ${row}`, async () => {
    const { rows: waiting } = await pool.query('SELECT WHERE cardinality(pg_blocking_pids($1)) > 0', [own[0]?.pid])
    return waiting.length > 0
  })
  const counts = await Promise.all(
    rows.map((other) =>
      pool.query(`SELECT FROM ${other} FOR NO KEY UPDATE SKIP LOCKED`).then(({ rowCount }) => rowCount),
    ),
  )
  await holder.query('ROLLBACK')
  await done
  await waiter.query('ROLLBACK')
  for (const client of [holder, waiter]) client.release()
  return rows.filter((_, n) => counts[n] === 1)
}
