import pg from 'pg'
import { runCli } from '../test/helpers/daemon.ts'
import { burstOrders, measureBurst } from './burst.ts'
import type { Contender } from './contender.ts'
import { ours, oursEnv } from './contenders/ours.ts'
import { oursWebhook, startOursWithReceiver } from './contenders/ours-webhook.ts'
import { watchCpu } from './cpu-use.ts'
import type { Context, Measured, Question } from './question.ts'
import { Lead } from './run.ts'

const ORDERS = 50_000
const QUICK_ORDERS = 2_000
/** Filling in an order and placing it, before it is known how long it takes. */
const GUESS_MS = 0.12
const LOOK_EVERY_MS = 20
const GIVE_UP_MS = 60_000

/** What telling a receiver of each cancelled order costs. */
export function relayQuestion(): Question {
  const lead = new Lead(GUESS_MS)
  return {
    name: 'relay',
    title: `A receiver on the same two cores is told of each cancelled order by a signed webhook. Burst: ${ORDERS.toLocaleString('en')} orders fall due in the same second, half of them paid; how fast are they settled, without a receiver and with one? Delivered: as many events wait in the outbox when the daemon starts; how fast does the receiver get them?`,
    columns: [
      { key: 'settledPerSecond', title: 'burst settled', unit: '/s', better: 'more' },
      { key: 'deliveredPerSecond', title: 'events delivered', unit: '/s', better: 'more' },
      { key: 'workerCpu', title: 'CPU of the daemon', unit: 'µs/event', better: 'less' },
      { key: 'postgresCpu', title: 'of PostgreSQL', unit: 'µs/event', better: 'less' },
    ],
    onlyIfNamed: true,
    seconds: 60,
    async run(context) {
      const bursts: Measured[] = []
      for (const contender of [ours, oursWebhook]) bursts.push(await measureSettling(context, contender, lead))
      return [...bursts, await measureDelivering(context)]
    },
  }
}

async function measureSettling(
  { servers, quick, round, progress }: Context,
  contender: Contender,
  lead: Lead,
): Promise<Measured> {
  progress(`burst, ${contender.name}`)
  const { settledPerSecond = 0 } = await measureBurst({
    contender,
    servers,
    makeOrders: (from) => burstOrders(from, quick ? QUICK_ORDERS : ORDERS),
    lead,
    giveUpMs: GIVE_UP_MS,
  })
  return { question: 'relay', contender: contender.name, case: '', round, figures: { settledPerSecond } }
}

async function measureDelivering({ servers, quick, round, progress }: Context): Promise<Measured> {
  const count = quick ? QUICK_ORDERS : ORDERS
  await servers.reset()
  progress('filling the outbox')
  const migrated = await runCli(['migrate'], { env: oursEnv(servers) })
  if (migrated.code !== 0) throw new Error(`order-expiry migrate: ${migrated.stderr}`)
  const pool = new pg.Pool({ connectionString: servers.databaseUrl })
  await pool.query(
    `INSERT INTO order_expiry_outbox (type, order_id, data)
     SELECT 'order.cancelled', 'order-' || n, jsonb_build_object('at', now(), 'deadline', now()) FROM generate_series(1, $1) n`,
    [count],
  )
  await pool.query('VACUUM ANALYZE order_expiry_outbox')
  await pool.end()
  const { receiver, running } = await startOursWithReceiver(servers)
  try {
    const [startedAt, already] = [performance.now(), receiver.finished()]
    const used = watchCpu(servers, running)
    while (receiver.finished() < count) {
      if (performance.now() - startedAt > GIVE_UP_MS) throw new Error(`only ${receiver.finished()} events arrived`)
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
    }
    const seconds = (performance.now() - startedAt) / 1_000
    const { worker, postgres } = used()
    const delivered = count - already
    const microsOf = (cpu: number) => (cpu * 1_000_000) / delivered
    const figures = {
      deliveredPerSecond: delivered / seconds,
      workerCpu: microsOf(worker),
      postgresCpu: microsOf(postgres),
    }
    return { question: 'relay', contender: oursWebhook.name, case: '', round, figures }
  } finally {
    await running.stop()
  }
}
