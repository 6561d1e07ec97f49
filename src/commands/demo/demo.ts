import { randomInt } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { OrderExpiry } from '../../client/client.ts'
import { type Config, DATA_DIR } from '../../config.ts'
import { EventBus } from '../../observe/events.ts'
import { openRedis } from '../../redis/connection.ts'
import { EmbeddedRedis } from '../../redis/embedded.ts'
import { namedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { OrderEvent } from '../../stores/redis/events.ts'
import { RedisOrders } from '../../stores/redis/orders.ts'
import type { CommandContext } from '../context.ts'
import { stopSignal } from '../stop-signal.ts'
import { clearQueue } from './clear-queue.ts'
import { createProgress } from './progress.ts'
import { type DemoOrder, judge, renderReport } from './report.ts'

/** Deadlines begin this long after placing: as long as placing itself may take. */
const LEAD_MS = 2_000
/** How long after the last deadline the demo waits for the rest. */
const PATIENCE_MS = 15_000
/** Payments in this last stretch before the deadline are the hard ones; a fifth of all payments comes there. */
const LAST_MOMENT_MS = 50

/** `order-expiry demo`: exit code 0 if every promise was kept, 1 if one was broken. */
export function demoCommand(context: CommandContext): Command {
  return new Command('demo')
    .description('place orders, pay half of them, some at the last moment, and watch the rest being cancelled')
    .option('--orders <n>', 'how many', wholeNumber(2, 100_000), 1_000)
    .option('--seconds <n>', 'the stretch of time in which their deadlines fall', wholeNumber(1, 600), 8)
    .action(async (options: { orders: number; seconds: number }) => {
      const { clock } = context
      const interrupted = stopSignal(context)
      const settings = context.readConfig()
      const dir = join(DATA_DIR, 'demo')
      const embedded = settings.REDIS_URL ? undefined : new EmbeddedRedis({ dir, clock, onExit: () => {} })
      await embedded?.start({ mayJoin: false })
      try {
        const redisUrl = settings.REDIS_URL ?? (embedded?.url as string)
        const ok = await runDemo({ context, settings, redisUrl, interrupted, ...options })
        if (!interrupted.aborted) context.exitWith(ok ? 0 : 1)
      } catch (error) {
        if (!interrupted.aborted) throw error
      } finally {
        await embedded?.stop()
      }
    })
}

async function runDemo(options: {
  context: CommandContext
  settings: Config
  redisUrl: string
  interrupted: AbortSignal
  orders: number
  seconds: number
}): Promise<boolean> {
  const { context, settings, redisUrl, interrupted, orders: count, seconds } = options
  const { clock, print } = context
  // A queue and a store of its own: the demo never touches a real order.
  const queueName = `demo-${clock.now().toString(36)}-${process.pid}`
  const queue = namedQueue({ name: queueName, prefix: settings.QUEUE_PREFIX })
  const config: Config = {
    ...settings,
    REDIS_URL: redisUrl,
    ORDER_STORE: 'redis',
    QUEUE_NAME: queueName,
    HTTP_HOST: '127.0.0.1',
    HTTP_PORT: 0,
  }
  const events = new EventBus()
  const { createDaemon } = await import('../../daemon/daemon.ts')
  const daemon = await createDaemon({ config, version: context.version, events, clock })
  const shop = new OrderExpiry({ redis: redisUrl, orders: 'redis', queueName, queuePrefix: queue.prefix })
  const redis = openRedis({ profile: commandProfile(redisUrl, 10_000) })
  const records = new RedisOrders({ redis, queue })
  const stopPaying = new AbortController()
  setMaxListeners(0, stopPaying.signal) // one for each payment to come
  interrupted.addEventListener('abort', () => stopPaying.abort())
  try {
    await daemon.start(stopPaying.signal)
    const orders = planOrders({ count, seconds, now: clock.now() })
    const progress = createProgress({ context, orders: count })
    const allFinished = countFinished(events, count, progress)

    const placed = await shop.scheduleMany(orders.map(({ orderId, deadline }) => ({ orderId, deadline })))
    progress.placed(placed.filter((result) => 'result' in result && result.result === 'scheduled').length)
    const payments = orders.map((order) =>
      payLater({ order, shop, clock, signal: stopPaying.signal, onPaid: progress.paid }),
    )

    const lastDeadline = Math.max(...orders.map(({ deadline }) => deadline))
    const timeUp = clock.sleep(lastDeadline + PATIENCE_MS - clock.now(), stopPaying.signal).catch(() => {})
    await Promise.race([Promise.all([allFinished, ...payments]), timeUp])
    progress.end()
    if (interrupted.aborted) return false

    // What counts is the record and the stream of events, not what the daemon says of itself.
    const found = await records.findMany(orders.map(({ orderId }) => orderId))
    const report = judge({ orders, found, cancellations: await readAll(records) })
    for (const line of renderReport(report)) print(line)
    return report.broken.length === 0
  } finally {
    stopPaying.abort()
    await daemon.stop(settings.SHUTDOWN_TIMEOUT)
    await clearQueue({ redis: redisUrl, queue }).catch(() => {})
    await records.clear().catch(() => {})
    await shop.close()
    redis.disconnect()
  }
}

/** Half of the orders get a time of payment: four in five anywhere before the deadline, one in five in its last moment. */
function planOrders(options: { count: number; seconds: number; now: number }): DemoOrder[] {
  const { count, seconds, now } = options
  return Array.from({ length: count }, (_, n): DemoOrder => {
    const orderId = `demo-${n + 1}`
    const deadline = now + LEAD_MS + randomInt(seconds * 1_000)
    if (n % 2 === 0) return { orderId, deadline, payAt: undefined, payment: undefined }
    const payAt = n % 10 === 1 ? deadline - randomInt(LAST_MOMENT_MS) : now + randomInt(deadline - now)
    return { orderId, deadline, payAt, payment: undefined }
  })
}

async function payLater(options: {
  order: DemoOrder
  shop: OrderExpiry
  clock: Clock
  signal: AbortSignal
  onPaid: () => void
}): Promise<void> {
  const { order, shop, clock, signal, onPaid } = options
  if (order.payAt === undefined) return
  try {
    await clock.sleep(Math.max(0, order.payAt - clock.now()), signal)
  } catch {
    return // the demo is over
  }
  order.payment = (await shop.pay(order.orderId)).result
  if (order.payment === 'paid') onPaid()
}

function countFinished(
  events: EventBus,
  count: number,
  progress: { finished: (outcome: string) => void },
): Promise<void> {
  return new Promise((resolve) => {
    let finished = 0
    events.on('check-finished', ({ outcome }) => {
      progress.finished(outcome)
      finished++
      if (finished === count) resolve()
    })
  })
}

async function readAll(records: RedisOrders): Promise<OrderEvent[]> {
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
