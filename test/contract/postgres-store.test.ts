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
  ['text id, no paid-at', { idType: 'text', paidAt: false }, (n) => `{"o\\'; drop table orders; -- 🎫", NULL} ${n}`],
  [
    'varchar id, enum status, timestamp deadline',
    { idType: 'varchar(40)', statusType: 'enum', deadlineType: 'timestamp' },
    (n) => `order/${n}`,
  ],
  ['no trigger', { hasTrigger: false }, digits],
  [
    'char id, integer status, deadline in seconds',
    { hasTrigger: false, idType: 'char(12)', statusType: 'integer', deadlineType: 'bigint', deadlineUnit: 's' },
    (n) => `no ${n}`,
  ],
  [
    'citext id, boolean status, deadline in milliseconds',
    { hasTrigger: false, idType: 'citext', statusType: 'boolean', deadlineType: 'bigint', deadlineUnit: 'ms' },
    (n) => `Order-${n}`,
  ],
  ['no status, but a condition and an assignment', { hasTrigger: false, statusType: null }, digits],
  ['a deadline 30 minutes after its column', { hasTrigger: false, deadlineAfterMs: 1_800_000 }, digits],
  ['times of New York', { hasTrigger: false, deadlineType: 'timestamp', timeZone: 'America/New_York' }, digits],
  ['a view of a composite key', { hasTrigger: false, idType: 'text', shape: 'view' }, (n) => `1-${n}`],
  ['a partitioned table', { hasTrigger: false, shape: 'partitioned' }, digits],
]

for (const [what, options, id] of tables) {
  describeOrderStore(`postgres, ${what}`, async () => {
    const table = await OrdersTable.create(options)
    await table.migrate()
    const store = await PostgresStore.open(table.storeOptions())
    return {
      store,
      id,
      statuses: {
        pending: table.written('pending'),
        paid: table.written('paid'),
        cancelled: table.written('cancelled'),
      },
      unitMs: table.options.deadlineUnit === 's' ? 1_000 : 1,
      keepsPayments: table.options.paidAt,
      place: (orders) => table.insert(orders.map(({ orderId, deadline }) => ({ id: orderId, deadline }))),
      pay: (orderId) => table.pay(orderId),
      announced: async () => (await table.outbox()).map(({ order_id }) => order_id),
      ...(table.options.hasTrigger && {
        changes: async () => (await table.pool.query('SELECT count(*)::int AS n FROM audit')).rows[0].n,
      }),
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
