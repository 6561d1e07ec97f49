import { expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../src/errors.ts'
import { EVENT_TYPES } from '../../src/order/event-types.ts'
import { createSettle } from '../../src/order/settle.ts'
import { createAnnouncements } from '../../src/outbox/announcements.ts'
import { GivingUp } from '../../src/queue/giving-up.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

/** What several processes have, each with a store of its own. */
async function openProcess(table: OrdersTable, queue = namedQueue({ name: uniqueName('announced') })) {
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
  closing.push(() => connection.close())
  const store = await PostgresStore.open(table.storeOptions())
  closing.push(() => store.close())
  const announcements = createAnnouncements({
    outbox: store.deliveries as NonNullable<typeof store.deliveries>,
    types: EVENT_TYPES,
    isCancelled: (status) => status === 'cancelled',
    queueKey: 'q',
    givingUp: new GivingUp({ connection, queue }),
  })
  const settle = createSettle({ store, ping: () => store.ping(), clock: systemClock })
  return {
    settle: announcements.tellingKept?.(settle, 'check') as typeof settle,
    tellGivenUp: announcements.tellGivenUp as NonNullable<typeof announcements.tellGivenUp>,
    endGivenUp: announcements.endGivenUp as NonNullable<typeof announcements.endGivenUp>,
  }
}

async function openTable(): Promise<OrdersTable> {
  const table = await OrdersTable.create({ idType: 'text', hasTrigger: false })
  closing.push(() => table.drop())
  await table.migrate()
  return table
}

test('the kept orders of a batch are written by one statement, and each once by several processes', async () => {
  const table = await openTable()
  await table.pool.query(`
    CREATE TABLE additions (rows bigint);
    CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO ${table.schema}.additions SELECT count(*) FROM added HAVING count(*) > 0; RETURN NULL; END $$;
    CREATE TRIGGER count_rows AFTER INSERT ON order_expiry_outbox REFERENCING NEW TABLE AS added
      FOR EACH STATEMENT EXECUTE FUNCTION count_rows()`)
  const deadline = Date.now() - 1_000
  const ids = Array.from({ length: 250 }, (_, n) => `o-${n}`)
  await table.insert(
    ids.map((id, n) => ({ id, deadline, status: n < 200 ? 'paid' : n < 225 ? 'pending' : 'cancelled' })),
  )
  const checks = ids.map((orderId) => ({ orderId, deadline }))
  const processes = await Promise.all([openProcess(table), openProcess(table)])
  const settlements = await processes[0]?.settle(checks)
  expect(settlements?.map(({ kind }) => kind)).toEqual(ids.map((_, n) => (n >= 200 && n < 225 ? 'cancelled' : 'kept')))
  const additions = (await table.pool.query('SELECT rows::int FROM additions ORDER BY rows')).rows
  expect(additions).toEqual([{ rows: 25 }, { rows: 200 }])
  await Promise.all(processes.flatMap(({ settle }) => [settle(checks), settle(checks.toReversed())]))
  const kept = (await table.outbox()).filter(({ type }) => type === 'order.kept')
  expect(kept.map(({ order_id }) => order_id)).toEqual(ids.slice(0, 200))
})

test('an order that is kept again with another deadline is told again', async () => {
  const table = await openTable()
  const deadline = Date.now() - 1_000
  await table.insert([{ id: 'a', deadline, status: 'paid' }])
  const { settle } = await openProcess(table)
  await settle([{ orderId: 'a', deadline }])
  await table.pool.query(`UPDATE orders SET payment_deadline = payment_deadline + interval '1 ms'`)
  await settle([{ orderId: 'a', deadline }])
  const deadlines = (await table.outbox()).map(({ data }) => data.deadline)
  expect(deadlines).toEqual([new Date(deadline).toISOString(), new Date(deadline + 1).toISOString()])
})

test('a check that is given up again after its process has died is the same event; after a replay it is another', async () => {
  const table = await openTable()
  const queue = namedQueue({ name: uniqueName('announced') })
  const [one, other] = await Promise.all([openProcess(table, queue), openProcess(table, queue)])
  const error = new OrderExpiryError('STORE_REJECTED', 'a \0 and \ud800')
  const check = {
    orderId: 'a',
    jobId: 'order-a',
    deadline: 1_796_000_000_000,
    at: 1_796_000_000_010,
    error,
  }
  await one?.tellGivenUp([check])
  await other?.tellGivenUp([{ ...check, at: check.at + 30_000 }])
  expect((await table.outbox()).map(({ data }) => data)).toMatchObject([{ at: new Date(check.at).toISOString() }])
  await one?.endGivenUp(check.jobId)
  await one?.tellGivenUp([check, { ...check, jobId: 'b' }])
  expect(new Set((await table.outbox()).map(({ event_id }) => event_id)).size).toBe(3)
})
