import { randomUUID } from 'node:crypto'
import { OrderExpiry } from '../../src/index.ts'
import { openPool } from './cancel.ts'
import { Host, setting } from './host.ts'

/**
 * A shop that takes orders without end: each gets its row, and then its check, so long before its deadline. Ends with an
 * error once it can no longer keep that up.
 */
const SLICE_MS = 200
/** Orders that are placed later than this before they are due would be late for that reason. */
const LEAST_AHEAD_MS = 1_000
const [from, until] = [Number(setting('FROM')), Number(setting('UNTIL'))]
const ahead = Number(setting('AHEAD_MS'))
const perSlice = (Number(setting('PER_SECOND')) * SLICE_MS) / 1_000
const paidEvery = Number(setting('PAID_EVERY'))
const INSERT = `INSERT INTO orders (id, status, paid_at, payment_deadline)
  SELECT id, CASE WHEN paid THEN 'paid' ELSE 'pending' END, CASE WHEN paid THEN now() END, to_timestamp(deadline / 1000)
  FROM unnest($1::text[], $2::bool[], $3::float8[]) AS o (id, paid, deadline)`

const host = new Host()
const { pool } = openPool()
const client = new OrderExpiry({ redis: setting('REDIS_URL') })
host.ready()
produce().catch((error: Error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

async function produce(): Promise<void> {
  for (let start = from; start < until; start += SLICE_MS) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, start - ahead - Date.now())))
    await place(start)
    if (Date.now() > start - LEAST_AHEAD_MS) throw new Error('orders could not be placed long before they were due')
  }
}

/** The orders that are due within a slice of time, at random moments. */
async function place(start: number): Promise<void> {
  const orders = Array.from({ length: perSlice }, () => ({
    orderId: randomUUID(),
    deadline: start + Math.floor(Math.random() * SLICE_MS),
  }))
  const columns = [
    orders.map(({ orderId }) => orderId),
    orders.map((_, index) => index % paidEvery === 0),
    orders.map(({ deadline }) => deadline),
  ]
  await pool.query({ name: 'insert', text: INSERT, values: columns })
  const failed = (await client.scheduleMany(orders)).find((result) => 'error' in result)
  if (failed) throw failed.error
  host.finished(orders.length)
}
