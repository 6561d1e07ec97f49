import { readFileSync } from 'node:fs'
import type pg from 'pg'

/* The worked example of docs/stock.md, by its own files. */

const read = (name: string) => readFileSync(`docs/stock/${name}.sql`, 'utf8')
export const CANCEL_SQL_FILE = 'docs/stock/cancel.sql'
const SCHEMA = read('schema')
export const PLACE = read('place')
export const PAY = read('pay')
export const CANCEL = read('cancel')
export const AUDIT = read('audit')

/** Of each sku, of the uses of each coupon, and of each customer's points, before the first order. */
export const AT_FIRST = 1_000_000
const SKUS = ['chair', 'lamp', 'table']
const COUPONS = ['SPRING', 'VIP']
const CUSTOMERS = 3

/** The tables of the example, in which there is something to sell. */
export const STOCKED = `${SCHEMA}
  INSERT INTO stock (sku, free) SELECT unnest('{${SKUS}}'::text[]), ${AT_FIRST};
  INSERT INTO coupons SELECT unnest('{${COUPONS}}'::text[]), ${AT_FIRST};
  INSERT INTO customers SELECT generate_series(1, ${CUSTOMERS}), ${AT_FIRST};`

export interface Basket {
  lines: readonly (readonly [sku: string, quantity: number])[]
  coupon?: string
  points?: number
  customer?: number
}

/** Without lines, with one, with several, with several of one sku, in no order. */
const LINES: readonly Basket['lines'][] = [
  [],
  [['table', 1]],
  [
    ['chair', 2],
    ['chair', 1],
  ],
  [
    ['table', 1],
    ['chair', 3],
    ['lamp', 2],
  ],
  [
    ['lamp', 1],
    ['table', 2],
    ['lamp', 4],
  ],
]

/** What the n-th buyer takes. Few want the same as the one before. */
export function basket(n: number): Basket {
  const [lines = [], coupon] = [LINES[n % LINES.length], COUPONS[n % 3]]
  return { lines, ...(coupon && { coupon }), points: n % 2 === 0 ? 0 : 1 + (n % 7), customer: 1 + (n % CUSTOMERS) }
}

/** What `place.sql` is given. */
export function placing(deadline: number, { lines, coupon, points = 0, customer = 1 }: Basket): unknown[] {
  const [skus, quantities] = [lines.map(([sku]) => sku), lines.map(([, quantity]) => quantity)]
  return [customer, new Date(deadline), coupon, points, skus, quantities]
}

/** Something that there is so much of, and should be by what has become of the orders. */
export interface Holding {
  what: string
  held: number
  expected: number
}

/**
 * All stock, coupons and points, as of one moment. If each is as expected, what is free, reserved and sold of a sku comes
 * to what there was of it at first. An order that is neither paid nor cancelled has what it has taken reserved.
 */
export async function holdings(pool: pg.Pool): Promise<Holding[]> {
  const { rows } = await pool.query<Holding>(`
    WITH taken AS (
      SELECT l.sku, coalesce(sum(l.quantity) FILTER (WHERE o.status <> 'paid'), 0) AS reserved,
             coalesce(sum(l.quantity) FILTER (WHERE o.status = 'paid'), 0) AS sold
      FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.status <> 'cancelled' GROUP BY l.sku
    ), held (what, held, expected) AS (
      SELECT h.* FROM stock s LEFT JOIN taken t ON t.sku = s.sku CROSS JOIN LATERAL (VALUES
        (s.sku || ' free', s.free, ${AT_FIRST} - coalesce(t.reserved, 0) - coalesce(t.sold, 0)),
        (s.sku || ' reserved', s.reserved, coalesce(t.reserved, 0)),
        (s.sku || ' sold', s.sold, coalesce(t.sold, 0))) h
      UNION ALL
      SELECT 'uses of ' || c.code, c.uses_left, ${AT_FIRST} - count(o.id)
      FROM coupons c LEFT JOIN orders o ON o.coupon = c.code AND o.status <> 'cancelled' GROUP BY c.code
      UNION ALL
      SELECT 'points of customer ' || c.id, c.points, ${AT_FIRST} - coalesce(sum(o.points), 0)
      FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.status <> 'cancelled' GROUP BY c.id
    )
    SELECT what, held::int, expected::int FROM held ORDER BY what`)
  return rows
}

/** Those that are not as they should be. */
export async function imbalances(pool: pg.Pool): Promise<Holding[]> {
  return (await holdings(pool)).filter(({ held, expected }) => held !== expected)
}
