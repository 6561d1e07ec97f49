import { fileURLToPath } from 'node:url'
import { OrderExpiry } from '../../src/index.ts'
import { CLI, DaemonProcess, runCli } from '../../test/helpers/daemon.ts'
import type { BenchOrder, Contender, Running } from '../contender.ts'
import { killOnExit } from '../kill-on-exit.ts'
import type { Servers } from '../servers.ts'
import { watchQueue } from './bullmq-queue.ts'

/** A folder without a .env. */
const HERE = fileURLToPath(new URL('.', import.meta.url))
const LOOK_EVERY_MS = 50
const SWEPT_WITHIN_MS = 20_000

/** The settings of our daemon: where things are; all else is default. */
export function oursEnv(servers: Servers): Record<string, string> {
  return {
    NODE_ENV: 'production',
    REDIS_URL: servers.redisUrl,
    ORDER_STORE: 'postgres',
    DATABASE_URL: servers.databaseUrl,
    ORDERS_PAID_AT_COLUMN: 'paid_at',
    ORDERS_CANCELLED_AT_COLUMN: 'cancelled_at',
    HTTP_PORT: '0',
  }
}

/** order-expiry, as it is when it is installed. */
export const ours: Contender = {
  name: 'ours',
  advice:
    'order-expiry: the built daemon with its default settings, including outbox and sweeper; orders are placed with scheduleMany.',
  cancels: true,
  place: (servers, orders) => placeWith(new OrderExpiry({ redis: servers.redisUrl }), orders),
  start: (servers) => startOurs(servers),
}

/** Schedules orders, and closes the client. */
export async function placeWith(
  client: Pick<OrderExpiry, 'scheduleMany' | 'close'>,
  orders: readonly BenchOrder[],
): Promise<void> {
  try {
    const results = await client.scheduleMany(orders.map(({ orderId, deadline }) => ({ orderId, deadline })))
    const failed = results.find((result) => 'error' in result)
    if (failed) throw failed.error
  } finally {
    await client.close()
  }
}

interface RunningDaemon extends Running {
  /** Of its HTTP server. */
  url: string
}

/** Starts the daemon. @param options.settings other than the default @param options.cli of another build */
export async function startOurs(
  servers: Servers,
  options: { settings?: Record<string, string>; cli?: string } = {},
): Promise<RunningDaemon> {
  const { settings, cli = CLI } = options
  const env = { ...oursEnv(servers), ...settings }
  const migrated = await runCli(['migrate'], { env, cwd: HERE, cli })
  if (migrated.code !== 0) throw new Error(`order-expiry migrate: ${migrated.stderr}`)
  const daemon = new DaemonProcess(env, { cwd: HERE, cli })
  const letLive = killOnExit(daemon.child.pid as number)
  const queue = watchQueue(servers, 'check-payment')
  const stop = async () => {
    queue.close()
    await daemon.stop('SIGKILL')
    letLive()
  }
  let url: string
  try {
    await daemon.until(({ msg }) => msg === 'ready')
    url = await daemon.url()
    await untilSwept(url)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    url,
    pids: [daemon.child.pid as number],
    async unfinished() {
      if (daemon.hasExited) throw new Error(`the daemon has ended: ${daemon.stderr}`)
      return queue.unfinished()
    },
    stop,
  }
}

/** The first sweep comes soon after the start; a daemon that is idle has it behind it. */
async function untilSwept(url: string): Promise<void> {
  const endsAt = Date.now() + SWEPT_WITHIN_MS
  while (Date.now() < endsAt) {
    const metrics = await (await fetch(new URL('/metrics', url))).text()
    if (/^order_expiry_sweeps_total\{.*\} [1-9]/m.test(metrics)) return
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
  throw new Error('the daemon has not swept')
}
