import { openPool } from './cancel.ts'
import { Host } from './host.ts'

const EVERY_MS = 1_000
const CANCEL_DUE = `UPDATE orders SET status = 'cancelled', cancelled_at = now()
WHERE status = 'pending' AND paid_at IS NULL AND payment_deadline <= now()`

const host = new Host()
const { pool } = openPool()
let isUnderWay = false

setInterval(() => {
  if (isUnderWay) return
  isUnderWay = true
  pool
    .query(CANCEL_DUE)
    .then(({ rowCount }) => host.finished(rowCount ?? 0))
    .catch((error: Error) => void process.stderr.write(`${error.stack}\n`))
    .finally(() => {
      isUnderWay = false
    })
}, EVERY_MS)
await pool.query('SELECT 1')
host.ready()
