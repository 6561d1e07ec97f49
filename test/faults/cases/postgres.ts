import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { byAdmin, configure, repeating, withAdmin } from '../harness/administrator.ts'
import { AT_ONCE_MS, type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import { crowd, during, perform, planWorkload, SOON, STEADY, underLoad } from '../harness/workload.ts'
import { CANCELLING } from '../harness/world.ts'

/** For a commit whose fate nobody knows: the connection on which it went is lost while its answer is on the way. */
function lostAnswer(name: string, statement: RegExp, hasStock: boolean): FaultCase {
  return {
    name,
    injected: `the proxy passes the statement on, swallows the answer and cuts the connection`,
    promise: 'nothing twice, within 30 s',
    boundMs: KNOWN_MS,
    seconds: 15,
    world: { hasStock },
    run: (world) =>
      during(world, SOON, async () => {
        const { hit } = world.toPostgres.intercept({
          matches: (request) => statement.test(request),
          action: 'lose-reply',
        })
        await crowd(world, { orders: 60, inMs: 1_000 })
        await hit
      }),
  }
}

const OWN = { ownPostgres: true, hasStock: true } as const

/** Ends the connections of all workers. */
async function terminateBackends(admin: pg.Client): Promise<void> {
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'order-expiry'`)
}

export const postgresCases: FaultCase[] = [
  {
    name: 'PostgreSQL stopped immediately in the transaction',
    injected: 'SIGQUIT while the proxy holds back the COMMIT; started again after 3 s',
    promise: 'nothing half done; within 30 s of its return; no job failed',
    boundMs: KNOWN_MS,
    seconds: 30,
    world: OWN,
    run: (world) =>
      during(world, STEADY, async () => {
        await crowd(world, { orders: 60, inMs: 1_000 })
        const { hit } = world.toPostgres.intercept({ matches: (request) => /COMMIT/.test(request), action: 'hold' })
        await hit
        await world.postgres?.die('SIGQUIT')
        world.toPostgres.heal()
        await sleep(3_000)
        await world.postgres?.start()
      }),
  },
  lostAnswer('lost answer to the COMMIT', /COMMIT/, true),
  lostAnswer('lost answer to the COMMIT of our own statement', /COMMIT/, false),
  lostAnswer('lost answer to the cancelling statement', CANCELLING, false),
  {
    name: 'PostgreSQL away for 30 s',
    injected: 'the proxy cuts all connections of the workers and refuses new ones, while 2,000 orders fall due',
    promise:
      'within 30 s of its return; no job failed; meanwhile /livez is green and /readyz red, and a worker asks for at most 60 connections',
    boundMs: KNOWN_MS,
    seconds: 55,
    world: { hasStock: true },
    run: (world) =>
      during(world, STEADY, async () => {
        await crowd(world, { orders: 2_000, inMs: 5_000 })
        world.toPostgres.cut()
        const before = world.toPostgres.attempts
        await sleep(29_000) // away for 30 s, with what follows
        await world.expectAliveAndNotReady()
        await sleep(1_000)
        const knocks = world.toPostgres.attempts - before
        world.heal()
        // Two workers, a probe each every 1 to 2 s, and what was under way when it began.
        world.expect(knocks <= 2 * 60, `the workers asked for ${knocks} connections in 30 s`)
      }),
  },
  {
    name: 'PostgreSQL frozen for 20 s',
    injected: 'SIGSTOP of the server and all its backends under load, SIGCONT after 20 s',
    promise: 'within 30 s of its return; no job failed',
    boundMs: KNOWN_MS,
    seconds: 50,
    world: OWN,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        world.postgres?.freeze()
        await sleep(20_000)
        world.postgres?.thaw()
      }),
  },
  {
    name: 'connections to PostgreSQL half open',
    injected: 'the proxy swallows both directions of all connections that there are, for ever',
    promise: 'within 30 s',
    boundMs: KNOWN_MS,
    aftermathMs: 15_000, // until every pooled connection has been tried
    seconds: 40,
    world: { hasStock: true },
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        for (const connection of world.toPostgres.connections) connection.blackHole()
      }),
  },
  {
    name: 'backends of PostgreSQL terminated',
    injected: "pg_terminate_backend of the workers' connections every 100 ms, for 5 s",
    promise: 'within 30 s of the last one; no job failed',
    refusal: '57P01',
    boundMs: KNOWN_MS,
    seconds: 25,
    world: OWN,
    run: (world) =>
      byAdmin(world, async (admin) => {
        await underLoad(world)
        await repeating(
          async () => {
            await terminateBackends(admin)
            await sleep(100)
          },
          () => sleep(5_000),
        )
      }),
  },
  {
    name: 'rows locked for long',
    injected: 'a transaction of the shop locks 20 of 200 due orders for 8 s',
    promise: 'the others within 5 s of their deadline; those within 5 s of the unlocking',
    boundMs: 5_000,
    seconds: 25,
    async run(world) {
      const { postgresShop: shop } = world
      const deadline = await crowd(world, { orders: 200, inMs: 2_000 })
      const client = await shop.pool.connect()
      await client.query('BEGIN')
      await client.query('SELECT FROM orders WHERE id <= 20 FOR UPDATE')
      await sleep(deadline + 5_000 - Date.now())
      const left = await shop.countOverdue()
      world.expect(left === 20, `I5: ${left} orders are unpaid 5 s after their deadline, 20 are locked`)
      await sleep(3_000) // locked for 8 s in all
      await client.query('COMMIT')
      client.release()
      return Date.now()
    },
  },
  {
    name: 'thousands of rows locked',
    injected:
      'a transaction of the shop locks 5,000 due orders for 20 s, while 600 others fall due one after the other',
    promise: 'the others within 1 s of their deadline; those within 30 s of the unlocking',
    boundMs: KNOWN_MS,
    seconds: 60,
    isAlone: true,
    async run(world) {
      const { postgresShop: shop } = world
      const locked = 5_000
      const deadline = await crowd(world, { orders: locked, inMs: 6_000 })
      const client = await shop.pool.connect()
      await client.query('BEGIN')
      await client.query('SELECT FROM orders FOR UPDATE')
      await sleep(deadline + 5_000 - Date.now())
      while (Date.now() < deadline + 20_000) {
        await crowd(world, { orders: 20, inMs: 500 })
        await sleep(480)
      }
      const { rows } = await shop.pool.query<{ late: number; n: number }>(
        `SELECT count(*)::int AS n, max(extract(epoch FROM cancelled_at - payment_deadline) * 1000)::int AS late
         FROM orders WHERE status = 'cancelled'`,
      )
      const { n = 0, late = 0 } = rows[0] ?? {}
      world.expect(
        n > 0 && late < AT_ONCE_MS,
        `I5: of ${n} orders beside the locked ones, one was cancelled ${late} ms late`,
      )
      await client.query('COMMIT')
      client.release()
      return Date.now()
    },
  },
  {
    name: 'deadlock',
    injected:
      "transactions of the shop lock stock in the opposite order; deadlock_timeout is 20 ms, but for the shop's",
    promise: 'within 30 s; no job failed',
    refusal: '40P01',
    boundMs: KNOWN_MS,
    seconds: 25,
    world: OWN,
    run: (world) =>
      byAdmin(world, async (admin) => {
        await configure(admin, `deadlock_timeout = '20ms'`)
        // Until a batch has met one: that takes two at the right moment.
        for (let round = 0; round < 8 && !world.hasMet('40P01'); round++) {
          const deadline = await crowd(world, { orders: 100, inMs: 2_000 })
          await repeating(
            () =>
              world.postgresShop.transaction(
                // Who looks first is the victim: never the shop. A buyer who has looked too early waits for its lock_timeout.
                `SET LOCAL deadlock_timeout = '1min'; SET LOCAL lock_timeout = '500ms';
                 UPDATE stock SET free = free WHERE sku = 'table'; SELECT pg_sleep(0.05);
                 UPDATE stock SET free = free WHERE sku = 'chair'; SELECT pg_sleep(0.01)`,
              ),
            () => sleep(Math.max(0, deadline - Date.now()) + 2_000),
          )
        }
      }),
  },
  {
    name: 'serialization failure',
    injected: 'default_transaction_isolation is serializable, while the shop keeps changing the rows that are due',
    promise: 'within 30 s; no job failed',
    refusal: '40001',
    boundMs: KNOWN_MS,
    seconds: 25,
    world: OWN,
    async run(world) {
      await withAdmin(world, (admin) => configure(admin, `default_transaction_isolation = 'serializable'`))
      return during(world, STEADY, async () => {
        await crowd(world, { orders: 200, inMs: 3_000 })
        await repeating(
          () =>
            world.postgresShop.transaction(
              `UPDATE orders SET slow = NOT slow WHERE id % 3 = 0 AND status = 'pending'; SELECT pg_sleep(0.02)`,
            ),
          () => sleep(6_000), // from before they are due until well after
        )
        await withAdmin(world, (admin) => configure(admin, `default_transaction_isolation = 'read committed'`))
      })
    },
  },
  {
    name: 'connection slots of PostgreSQL used up',
    injected: "others take every slot, reserved ones too, and the workers' backends are terminated; for 8 s",
    promise: 'within 30 s of their end; no job failed',
    refusal: '53300',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: OWN,
    async run(world) {
      await world.postgresShop.openAll()
      return byAdmin(world, async (admin) => {
        await underLoad(world)
        const hogs: pg.Client[] = []
        const grab = async (): Promise<boolean> => {
          const hog = new pg.Client({ connectionString: world.postgres?.url })
          hog.on('error', () => {})
          const isIn = await hog.connect().then(
            () => true,
            () => false,
          )
          if (isIn) hogs.push(hog)
          return isIn
        }
        while (await grab()); // to fill them may take a while on a busy machine
        const endsAt = Date.now() + 8_000
        for (let terminatedAt = 0; Date.now() < endsAt; ) {
          const areIn = await Promise.all(Array.from({ length: 10 }, grab))
          if (areIn.includes(true)) continue
          // Whoever is faster gets a slot that becomes free: again, until it was not a worker.
          if (!world.hasMet('53300') && Date.now() - terminatedAt > 200) {
            terminatedAt = Date.now()
            await terminateBackends(admin)
          } else await sleep(10)
        }
        await Promise.all(hogs.map((hog) => hog.end()))
      })
    },
  },
  {
    name: 'PostgreSQL read-only',
    injected: 'default_transaction_read_only is on for 8 s',
    promise: 'within 30 s of its end; no job failed',
    refusal: '25006',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: OWN,
    run: (world) =>
      byAdmin(world, async (admin) => {
        await underLoad(world)
        await configure(admin, 'default_transaction_read_only = on')
        await sleep(8_000)
        await configure(admin, 'default_transaction_read_only = off')
      }),
  },
  {
    name: 'slow network to PostgreSQL',
    injected: 'the proxy delays everything by 150 ms in each direction, for 8 s',
    promise: 'within 30 s',
    boundMs: KNOWN_MS,
    seconds: 30,
    world: { hasStock: true },
    async run(world) {
      const startedAt = Date.now()
      world.toPostgres.delayMs = 150
      await perform(world, planWorkload(world.random, SOON))
      await sleep(2_000) // slow for 8 s in all
      world.heal()
      return startedAt
    },
  },
]
