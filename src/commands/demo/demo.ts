import { randomInt } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import type { OrderExpiry } from '../../client/client.ts'
import { type Config, DATA_DIR, queueOf } from '../../config.ts'
import { openClient, openConnection } from '../../daemon/parts.ts'
import { withOwnRedis } from '../../daemon/with-redis.ts'
import { EventBus } from '../../observe/events.ts'
import { openQueue } from '../../queue/open-queue.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { DEFAULT_RECORDS, type OrderEvent, type OrderRecords, RECORDS } from '../../stores/records.ts'
import { type CommandContext, stopSignal } from '../context.ts'
import { createProgress } from './progress.ts'
import { type DemoOrder, judge, renderReport } from './report.ts'

/** Deadlines begin this long after placing: as long as placing itself may take. */
const LEAD_MS = 2_000
/** How long after the last deadline the demo waits for the rest. */
const PATIENCE_MS = 15_000
/** Payments in this last stretch before the deadline are the hard ones; a fifth of all payments comes there. */
const LAST_MOMENT_MS = 50
const REDIS_TIMEOUT_MS = 10_000

interface DemoOptions {
  orders: number
  seconds: number
}

/** `order-expiry demo`: exit code 0 if every promise was kept, 1 if one was broken. */
export function demoCommand(context: CommandContext): Command {
  return new Command('demo')
    .description('place orders, pay half of them, some at the last moment, and watch the rest being cancelled')
    .option('--orders <n>', 'how many', wholeNumber(2, 100_000), 1_000)
    .option('--seconds <n>', 'the period in which their deadlines fall', wholeNumber(1, 600), 8)
    .action(async (options: DemoOptions) => {
      const { clock } = context
      const interrupted = stopSignal(context)
      const settings = context.readConfig()
      const dir = join(DATA_DIR, 'demo')
      try {
        const ok = await withOwnRedis({ config: settings, clock, dir }, (redisAddress) =>
          runDemo({ ...options, context, settings, redisAddress, interrupted }),
        )
        if (!ok && !interrupted.aborted) context.exitWith(1)
      } catch (error) {
        if (!interrupted.aborted) throw error
      }
    })
}

/** @returns whether every promise was kept */
async function runDemo(
  options: DemoOptions & {
    context: CommandContext
    settings: Config
    redisAddress: RedisAddress
    interrupted: AbortSignal
  },
): Promise<boolean> {
  const { context, settings, redisAddress, interrupted } = options
  const { clock, version, print } = context
  const config: Config = {
    ...settings,
    ...(typeof redisAddress === 'string' && { REDIS_URL: redisAddress }),
    ORDER_STORE: DEFAULT_RECORDS,
    // A queue, and with it a store, of its own: the demo never touches a real order.
    QUEUE_NAME: `demo-${clock.now().toString(36)}-${process.pid}`,
    HTTP_HOST: '127.0.0.1',
    HTTP_PORT: 0,
  }
  const queue = queueOf(config)
  const events = new EventBus()
  const { createDaemon } = await import('../../daemon/daemon.ts')
  const daemon = await createDaemon({ config, version, events, clock })
  const shop = openClient({ config, redisAddress })
  const { redis } = openConnection(redisAddress, REDIS_TIMEOUT_MS)
  const records = new RECORDS[DEFAULT_RECORDS]({ redis, queue })
  const over = new AbortController()
  const signal = AbortSignal.any([interrupted, over.signal])
  setMaxListeners(0, signal) // one per upcoming payment
  try {
    await daemon.start(signal)
    const orders = planOrders(options, clock.now())
    await placeAndPay(orders, { shop, events, context, signal })
    if (interrupted.aborted) return false

    // The record and the stream of events count, not what the daemon says about itself.
    const found = await records.findMany(orders.map(({ orderId }) => orderId))
    const cancellations = (await readAll(records)).filter(({ type }) => type === 'order.cancelled')
    const report = judge({ orders, found, cancellations })
    for (const line of renderReport(report)) print(line)
    return report.broken.length === 0
  } finally {
    over.abort()
    await daemon.stop(config.SHUTDOWN_TIMEOUT)
    const emptied = openQueue({ queue, redis })
    await emptied.obliterate({ force: true }).catch(() => {})
    await emptied.close().catch(() => {})
    await records.clear().catch(() => {})
    await shop.close()
    redis.disconnect()
  }
}

/** Half of the orders get a time of payment: four in five anywhere before the deadline, one in five in its last moment. */
function planOrders({ orders, seconds }: DemoOptions, now: number): DemoOrder[] {
  return Array.from({ length: orders }, (_, n): DemoOrder => {
    const orderId = `demo-${n + 1}`
    const deadline = now + LEAD_MS + randomInt(seconds * 1_000)
    const paidAt = n % 10 === 1 ? deadline - randomInt(LAST_MOMENT_MS) : now + randomInt(deadline - now)
    return { orderId, deadline, payAt: n % 2 === 0 ? undefined : paidAt, payment: undefined }
  })
}

/** Resolves when all checks and payments are done, at the latest some time after the last deadline. */
async function placeAndPay(
  orders: readonly DemoOrder[],
  options: { shop: OrderExpiry; events: EventBus; context: CommandContext; signal: AbortSignal },
): Promise<void> {
  const { shop, events, context, signal } = options
  const { clock } = context
  const progress = createProgress(context, orders.length)
  const allFinished = new Promise<void>((resolve) => {
    events.on('checks-finished', ({ checks }) => {
      for (const { outcome } of checks) progress.add(outcome === 'cancelled' ? 'cancelled' : 'kept')
      if (progress.done() === orders.length) resolve()
    })
  })

  const placed = await shop.scheduleMany(orders.map(({ orderId, deadline }) => ({ orderId, deadline })))
  progress.add('placed', placed.filter((result) => 'result' in result && result.result === 'scheduled').length)

  const payments = orders.map(payLater)
  const lastDeadline = Math.max(...orders.map(({ deadline }) => deadline))
  const timeUp = clock.sleep(lastDeadline + PATIENCE_MS - clock.now(), signal).catch(() => {})
  await Promise.race([Promise.all([allFinished, ...payments]), timeUp])
  progress.end()

  async function payLater(order: DemoOrder): Promise<void> {
    if (order.payAt === undefined) return
    await clock.sleep(Math.max(0, order.payAt - clock.now()), signal).catch(() => {})
    if (signal.aborted) return
    order.payment = (await shop.pay(order.orderId)).result
    if (order.payment === 'paid') progress.add('paid')
  }
}

async function readAll(records: OrderRecords): Promise<OrderEvent[]> {
  const all: OrderEvent[] = []
  for (;;) {
    const page = await records.readEvents(all.at(-1)?.id, 1_000)
    all.push(...page)
    if (page.length === 0) return all
  }
}

function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`)
  }
}
