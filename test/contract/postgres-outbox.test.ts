import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { describeOutbox } from './outbox.ts'

describeOutbox('postgres', async () => {
  const table = await OrdersTable.create({ idType: 'text', hasTrigger: false })
  await table.migrate()
  const store = await PostgresStore.open(table.storeOptions())
  const deadline = Date.now() - 1_000
  return {
    outbox: store.deliveries as NonNullable<typeof store.deliveries>,
    eventsOf: async (orderId, sinks) => (await store.eventsOf(orderId, sinks)) ?? [],
    keeps: true,
    remembersAdded: false,
    async cancel(orderIds, by) {
      await table.insert(orderIds.map((id) => ({ id, deadline })))
      for (const orderId of orderIds) await store.cancelUnpaid([{ orderId, deadline }], by && { by })
    },
    notes: async () => 0, // they are in the row
    count: async () => (await table.outbox()).length,
    async cancelSlowly(orderId) {
      const client = await table.pool.connect()
      const insert = `INSERT INTO order_expiry_outbox (type, order_id, data) VALUES ('order.cancelled', $1, '{}')`
      await client.query('BEGIN')
      await client.query(insert, [orderId])
      return async () => {
        await client.query('COMMIT')
        client.release()
      }
    },
    async close() {
      await store.close()
      await table.drop()
    },
  }
})
