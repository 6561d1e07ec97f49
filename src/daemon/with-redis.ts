import { RedisBrake } from '../brake/redis-brake.ts'
import { OrderExpiry } from '../client/client.ts'
import { type Config, DATA_DIR, queueOf } from '../config.ts'
import { OrderExpiryError } from '../errors.ts'
import { QueueView } from '../queue/view/queue-view.ts'
import { Connection } from '../redis/connection.ts'
import { EmbeddedRedis } from '../redis/embedded.ts'
import { commandProfile } from '../redis/profiles.ts'
import type { Clock } from '../runtime/clock.ts'
import { formatDuration } from '../runtime/duration.ts'

const COMMAND_TIMEOUT_MS = 5_000

/** Runs `work` with the Redis of the settings; without one, with the embedded one, which is shared with a running daemon. */
export async function withRedis<T>(
  options: { config: Config; clock: Clock },
  work: (redisUrl: string) => Promise<T>,
): Promise<T> {
  const { config, clock } = options
  if (config.REDIS_URL) return work(config.REDIS_URL)
  const embedded = new EmbeddedRedis({ dir: DATA_DIR, clock, onExit: () => {} })
  await embedded.start({ mayJoin: true })
  try {
    return await work(embedded.url)
  } finally {
    await embedded.stop()
  }
}

/** Runs `work` with the brake of the queue that the settings name. @throws {OrderExpiryError} REDIS_* */
export async function withBrake<T>(
  options: { config: Config; clock: Clock },
  work: (brake: RedisBrake) => Promise<T>,
): Promise<T> {
  return withConnection(options, ({ redis }) => work(new RedisBrake({ redis, queue: queueOf(options.config) })))
}

/** Runs `work` with a view of the queue that the settings name. @throws {OrderExpiryError} REDIS_* */
export async function withQueueView<T>(
  options: { config: Config; clock: Clock },
  work: (view: QueueView, redisUrl: string) => Promise<T>,
): Promise<T> {
  const { config, clock } = options
  return withConnection(options, (connection, redisUrl) =>
    work(new QueueView({ connection, queue: queueOf(config), clock }), redisUrl),
  )
}

async function withConnection<T>(
  options: { config: Config; clock: Clock },
  work: (connection: Connection, redisUrl: string) => Promise<T>,
): Promise<T> {
  return withRedis(options, async (redisUrl) => {
    const connection = new Connection({ address: redisUrl, profile: commandProfile(redisUrl, COMMAND_TIMEOUT_MS) })
    try {
      await connection.selectDatabase()
      return await work(connection, redisUrl)
    } catch (error) {
      throw error instanceof OrderExpiryError ? error : connection.explain(error)
    } finally {
      connection.close()
    }
  })
}

/** Runs `work` with a client of the queue and the orders that the settings name. */
export async function withClient<T>(
  options: { config: Config; clock: Clock },
  work: (client: OrderExpiry, redisUrl: string) => Promise<T>,
): Promise<T> {
  const { config } = options
  return withRedis(options, async (redisUrl) => {
    const client = new OrderExpiry({
      redis: redisUrl,
      ...(config.ORDER_STORE === 'redis' && { orders: 'redis' as const }),
      queueName: config.QUEUE_NAME,
      queuePrefix: config.QUEUE_PREFIX,
      paymentTimeout: formatDuration(config.PAYMENT_TIMEOUT),
    })
    try {
      return await work(client, redisUrl)
    } finally {
      await client.close()
    }
  })
}
