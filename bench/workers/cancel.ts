import pg from 'pg'
import { setting } from './host.ts'

/** Connections of a rival's worker: as many as pg's pool has by default. */
const POOL_SIZE = 10

/** What each rival that settles one order at a time runs for it. A prepared statement: pg knows nothing faster. */
const CANCEL_ONE = {
  name: 'cancel-one',
  text: `UPDATE orders SET status = 'cancelled', cancelled_at = now()
WHERE id = $1 AND status = 'pending' AND paid_at IS NULL AND payment_deadline <= now()`,
}

const CANCEL_MANY = {
  name: 'cancel-many',
  text: CANCEL_ONE.text.replace('id = $1', 'id = ANY ($1::text[])'),
}

/** The orders table, as a rival's worker writes to it. */
export function openPool(): {
  pool: pg.Pool
  cancelOne(orderId: string): Promise<void>
  cancelMany(orderIds: readonly string[]): Promise<void>
} {
  const pool = new pg.Pool({ connectionString: setting('DATABASE_URL'), max: POOL_SIZE })
  pool.on('error', (error) => process.stderr.write(`${error.stack}\n`))
  return {
    pool,
    async cancelOne(orderId) {
      await pool.query({ ...CANCEL_ONE, values: [orderId] })
    },
    async cancelMany(orderIds) {
      await pool.query({ ...CANCEL_MANY, values: [orderIds] })
    },
  }
}
