import { RedisBrake } from '../brake/redis-brake.ts'
import type { OrderExpiry } from '../client/client.ts'
import { DATA_DIR, queueOf, redisAddressOf } from '../config.ts'
import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { ExplainSources } from '../explain/story.ts'
import type { Outbox } from '../order/outbox.ts'
import type { OrderStore } from '../order/store.ts'
import { askToReadAgain } from '../outbox/shares.ts'
import { chosenSinks, type SinkName } from '../outbox/sinks.ts'
import { QueueView } from '../queue/view/queue-view.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { Connection } from '../redis/connection.ts'
import { EmbeddedRedis } from '../redis/embedded.ts'
import { openStore } from '../stores/kinds.ts'
import { cancelledStatusOf, chooseStore, type Given, openClient, openConnection, redactorOf } from './parts.ts'

const COMMAND_TIMEOUT_MS = 5_000

type Settings = Pick<Given, 'config' | 'clock'>

/**
 * Runs `work` with the Redis of the settings; without one, with that of the daemon that runs in this folder.
 *
 * @throws {OrderExpiryError} INVALID_SETTINGS if there is neither
 */
export async function withRedis<T>({ config }: Settings, work: (redisAddress: RedisAddress) => Promise<T>): Promise<T> {
  const address = redisAddressOf(config) ?? (await EmbeddedRedis.find(DATA_DIR))
  if (address) return work(address)
  const expected =
    'REDIS_URL: expected the Redis of your shop, or a daemon of yours that runs in this folder; given neither'
  const advice = 'set REDIS_URL, or begin with `npx order-expiry start`, whose Redis is then used'
  throw new OrderExpiryError('INVALID_SETTINGS', `${expected}: ${advice}`)
}

/** Runs `work` with the Redis of the settings; without one, with an embedded one in a folder of its own. */
export async function withOwnRedis<T>(
  { config, clock, dir }: Settings & { dir: string },
  work: (redisAddress: RedisAddress) => Promise<T>,
): Promise<T> {
  const address = redisAddressOf(config)
  if (address) return work(address)
  const embedded = new EmbeddedRedis({ dir, clock, onExit: () => {} })
  await embedded.start()
  try {
    return await work(embedded.url)
  } finally {
    await embedded.stop()
  }
}

/** Runs `work` with the brake of the queue that the settings name. @throws {OrderExpiryError} REDIS_* */
export function withBrake<T>(settings: Settings, work: (brake: RedisBrake) => Promise<T>): Promise<T> {
  const queue = queueOf(settings.config)
  return withConnection(settings, (connection) => work(new RedisBrake({ connection, queue })))
}

/** Runs `work` with a view of the queue that the settings name. @throws {OrderExpiryError} REDIS_* */
export function withQueueView<T>(
  settings: Settings,
  work: (view: QueueView, redisAddress: RedisAddress) => Promise<T>,
): Promise<T> {
  const queue = queueOf(settings.config)
  return withConnection(settings, (connection, redisAddress) =>
    work(new QueueView({ connection, queue, redact: redactorOf(settings.config) }), redisAddress),
  )
}

/** Runs `work` with what explains an order. What cannot be opened fails when it is asked, so that the other half is told. */
export function withExplainSources<T>(settings: Settings, work: (sources: ExplainSources) => Promise<T>): Promise<T> {
  const { config, clock } = settings
  return withRedis(settings, async (redisAddress) => {
    const connection = openConnection(redisAddress, COMMAND_TIMEOUT_MS)
    const opened = await openStore(chooseStore({ config, redisAddress, access: 'read' })).catch(asOrderExpiryError)
    try {
      const isAway = opened instanceof OrderExpiryError
      const storeNow = isAway ? undefined : await opened.ping().catch(() => undefined)
      return await work({
        view: new QueueView({ connection, queue: queueOf(config), redact: redactorOf(config) }),
        store: isAway ? { find: () => Promise.reject(opened) } : opened,
        cancelledStatus: cancelledStatusOf(config),
        clockOffsets: { store: storeNow === undefined ? undefined : storeNow - clock.now() },
        sinks: chosenSinks(config),
        dryRun: config.DRY_RUN,
        clock,
      })
    } finally {
      connection.close()
      if (!(opened instanceof OrderExpiryError)) await opened.close()
    }
  })
}

interface GivenOutbox {
  outbox: Outbox
  /** Those of the settings. */
  sinks: readonly SinkName[]
  /** Has the daemons find what was changed within seconds, not only after some minutes. */
  readAgain(): Promise<void>
}

/**
 * Runs `work` with the events of the order store of the settings. @throws {OrderExpiryError} INVALID_SETTINGS where nobody is told of
 * events; STORE_*, OUTBOX_MISSING, REDIS_*
 */
export async function withOutbox<T>(
  settings: Settings,
  { access }: { access: 'read' | 'write' },
  work: (given: GivenOutbox) => Promise<T>,
): Promise<T> {
  const { config } = settings
  const sinks = chosenSinks(config)
  const where = 'WEBHOOK_URL, EVENT_STREAM or EVENT_QUEUE'
  if (sinks.length === 0)
    throw new OrderExpiryError('INVALID_SETTINGS', `${where}: expected where events go, given none`)
  const { keys } = queueOf(config)
  return withConnection(settings, async (connection, redisAddress) => {
    const choice = chooseStore({ config, redisAddress, ...(access === 'read' && { access }) })
    const store = await openStore(choice)
    try {
      const { deliveries: outbox } = store
      if (!outbox)
        throw new OrderExpiryError('OUTBOX_MISSING', 'expected what `order-expiry migrate` adds to the outbox')
      const readAgain = async () => {
        for (const sink of sinks) await askToReadAgain({ connection, key: keys.shares(sink) })
      }
      return await work({ outbox, sinks, readAgain })
    } finally {
      await store.close()
    }
  })
}

function withConnection<T>(
  settings: Settings,
  work: (connection: Connection, redisAddress: RedisAddress) => Promise<T>,
): Promise<T> {
  return withRedis(settings, async (redisAddress) => {
    const connection = openConnection(redisAddress, COMMAND_TIMEOUT_MS)
    try {
      await connection.selectDatabase()
      return await work(connection, redisAddress)
    } catch (error) {
      throw error instanceof OrderExpiryError ? error : connection.explain(error)
    } finally {
      connection.close()
    }
  })
}

/** Runs `work` with a client of the queue and the orders that the settings name. */
export function withClient<T>(
  settings: Settings,
  work: (client: OrderExpiry, redisAddress: RedisAddress) => Promise<T>,
): Promise<T> {
  return withRedis(settings, async (redisAddress) => {
    const client = openClient({ config: settings.config, redisAddress })
    try {
      return await work(client, redisAddress)
    } finally {
      await client.close()
    }
  })
}

/** Runs `work` with the order store of the settings, to look at. @throws {OrderExpiryError} STORE_*, OUTBOX_MISSING */
export async function withStore<T>(
  settings: { config: Given['config']; redisAddress: RedisAddress },
  work: (store: OrderStore) => Promise<T>,
): Promise<T> {
  const store = await openStore(chooseStore({ ...settings, access: 'read' }))
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}
