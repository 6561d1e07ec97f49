import { closing } from './closing.ts'
import { redisUrl } from './env.ts'
import { OrdersTable } from './orders-table.ts'
import { RawQueue } from './raw-queue.ts'

/** An orders table with an outbox, a queue, and the settings by which a daemon finds both; removed after the test. */
export async function openShop(): Promise<{ table: OrdersTable; raw: RawQueue; env: Record<string, string> }> {
  const table = await OrdersTable.create()
  await table.migrate()
  const raw = new RawQueue()
  closing.push(
    () => table.drop(),
    () => raw.close(),
  )
  return { table, raw, env: { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env } }
}
