import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { OrdersTable, type TableOptions } from '../helpers/orders-table.ts'
import { describeOrderStore } from './order-store.ts'

const digits = (n: number) => `${n}`
const uuid = (n: number) => `4f0c8e0a-0000-4000-8000-${`${n}`.padStart(12, '0')}`

const tables: [string, TableOptions, (n: number) => string][] = [
  ['bigint id, text status, timestamptz deadline', {}, digits],
  [
    'integer id, varchar status, timestamp deadline',
    { idType: 'integer', statusType: 'varchar(20)', deadlineType: 'timestamp' },
    digits,
  ],
  ['uuid id, enum status', { idType: 'uuid', statusType: 'enum' }, uuid],
  ['text id, no paid-at', { idType: 'text', paidAt: false }, (n) => `o'; drop table orders; -- 🎫 ${n}`],
  [
    'varchar id, enum status, timestamp deadline',
    { idType: 'varchar(40)', statusType: 'enum', deadlineType: 'timestamp' },
    (n) => `order/${n}`,
  ],
]

for (const [what, options, id] of tables) {
  describeOrderStore(`postgres, ${what}`, async () => {
    const table = await OrdersTable.create(options)
    await table.migrate()
    const store = await PostgresStore.open(table.storeOptions())
    return {
      store,
      id,
      keepsPayments: table.options.paidAt,
      place: (orders) => table.insert(orders.map(({ orderId, deadline }) => ({ id: orderId, deadline }))),
      async pay(orderId) {
        const paidAt = table.options.paidAt ? ', paid_at = now()' : ''
        const type = table.options.statusType === 'enum' ? 'order_status' : 'text'
        await table.pool.query(
          `UPDATE orders SET status = 'paid'::${type}${paidAt} WHERE id::text = $1 AND status::text = 'pending'`,
          [orderId],
        )
      },
      announced: async () => (await table.outbox()).map(({ order_id }) => order_id),
      changes: async () => (await table.pool.query('SELECT count(*)::int AS n FROM audit')).rows[0].n,
      async lock(orderId) {
        const client = await table.pool.connect()
        await client.query('BEGIN')
        await client.query('SELECT FROM orders WHERE id::text = $1 FOR UPDATE', [orderId])
        return async () => {
          await client.query('ROLLBACK')
          client.release()
        }
      },
      async close() {
        await store.close()
        await table.drop()
      },
    }
  })
}
