import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { Random } from '../helpers/random.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { Receiver } from '../helpers/receiver.ts'

const ORDERS = 20_000

/** Cancellations of some orders take a moment longer, so that transactions end in another order than that of their events. */
const SLOW = `
  CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id::bigint % 500 = 0 THEN PERFORM pg_sleep(random() * 0.3); END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER slow BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION slow()`

test.each([1, 2])(
  'two processes, one of which is killed, slow transactions, a receiver that fails, hangs up and answers late: no event is lost, and none has two ids (seed %i)',
  async (seed) => {
    const random = new Random(seed)
    const raw = new RawQueue()
    closing.push(() => raw.close())
    const table = await OrdersTable.create({ hasTrigger: false })
    closing.push(() => table.drop())
    await table.migrate()
    await table.pool.query(SLOW)
    const receiver = await Receiver.start()
    let numAnswers = 0
    receiver.answer = (_event, response, attempt) => {
      numAnswers++
      const kind = random.between(0, 199)
      // Now and then, so that the receiver is not taken for one that is away; no event twice, which would then come minutes later.
      const mayFail = attempt === 1 && numAnswers < ORDERS / 4
      if (kind === 0 && mayFail) response.writeHead(500).end()
      else if (kind === 1 && mayFail) response.destroy()
      else if (kind === 2) setTimeout(() => response.writeHead(204).end(), random.between(0, 500))
      else response.writeHead(204).end()
    }
    const env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env, ...receiver.env, SWEEP_EVERY: '1s' }
    const daemons = await Promise.all([DaemonProcess.start(env), DaemonProcess.start(env)])
    for (const daemon of daemons) closing.push(() => daemon.stop())
    const deadline = Date.now() + 2_000
    const orders = Array.from({ length: ORDERS }, (_, n) => ({
      id: `${n}`,
      deadline,
      ...(n % 2 === 0 && { status: 'paid' }),
    }))
    await table.insert(orders)
    await receiver.got(500, 60_000)
    await daemons[0]?.stop('SIGKILL')
    const unpaid = orders.filter(({ status }) => status === undefined).map(({ id }) => id)
    await receiver.got(unpaid.length, 120_000)
    await eventually('the outbox has nothing left to deliver', async () => {
      const { rows } = await table.pool.query(
        'SELECT count(*)::int AS n FROM order_expiry_outbox WHERE delivered_at IS NULL',
      )
      return rows[0].n === 0
    })
    const idsOf = new Map<string, Set<string>>()
    for (const { subject, id } of receiver.events) idsOf.set(subject, (idsOf.get(subject) ?? new Set()).add(id))
    expect([...idsOf.keys()].sort()).toEqual(unpaid.sort())
    expect([...idsOf.values()].filter((ids) => ids.size > 1)).toEqual([])
    expect(receiver.refused).toEqual([])
  },
  300_000,
)
