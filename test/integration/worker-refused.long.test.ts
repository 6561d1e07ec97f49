import { beforeAll, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { OrderExpiryError } from '../../src/errors.ts'
import { EventBus } from '../../src/observe/events.ts'
import { createWorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue, type QueueKeys } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { startClusterNode } from '../helpers/cluster-node.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

/** What fails, and what mends it. */
interface Fault {
  fails: string
  begin: (shop: Shop) => Promise<unknown>
  end: (shop: Shop) => Promise<unknown>
  says: RegExp
  /** It fails only where there is a job. */
  isOnlyWithJob?: true
  endsWithinMs?: number
}

interface Shop {
  admin: Redis
  user: string
  keys: QueueKeys
}

const acl =
  (...rules: string[]) =>
  ({ admin, user }: Shop) =>
    admin.call('ACL', 'SETUSER', user, ...rules)

/** Redis 7.0 does not name the command of a script; later ones do. */
const saysOf = (command: string) =>
  new RegExp(`\\+${command} ~bull:|a command of EVAL(?:SHA)? bull:.*order-expiry doctor lists`)

/** What only this kind of claims calls: in each claim, and for each job. */
const COMMANDS = {
  auto: { always: 'zrangebyscore', ofJobs: ['hset', 'set', 'hmget'] },
  wrapped: { always: 'rpoplpush', ofJobs: ['hmset', 'set'] },
} as const
type Kind = keyof typeof COMMANDS

const faultsOf = ({ always, ofJobs }: (typeof COMMANDS)[Kind]): Fault[] => [
  {
    fails: 'every script',
    begin: acl('-evalsha', '-eval'),
    end: acl('+evalsha', '+eval'),
    says: /EVAL(?:SHA)? bull:.*\+eval(?:sha)? ~bull:/, // EVAL: of a script that Redis was just asked for, and did not know
  },
  {
    fails: 'a command in the script that fetches',
    begin: acl(`-${always}`),
    end: acl(`+${always}`),
    says: saysOf(always),
  },
  // As long as nothing is due, nobody does any of it; what is refused comes again once it is taken for stalled.
  ...ofJobs.map((command) => ({
    fails: `what a fetch does with a job: ${command}`,
    begin: acl(`-${command}`),
    end: acl(`+${command}`),
    says: saysOf(command),
    isOnlyWithJob: true as const,
    endsWithinMs: 40_000,
  })),
  {
    fails: 'the wait for a job',
    begin: acl('-bzpopmin'),
    end: acl('+bzpopmin'),
    says: /BZPOPMIN bull:.*\+bzpopmin ~bull:/,
  },
  { fails: 'the keys', begin: acl('resetkeys'), end: acl('~*'), says: /NOPERM/ },
  ...(['wait', 'active', 'marker', 'delayed', 'prioritized'] as const).map((key) => ({
    fails: `the key ${key}, which is of another type`,
    begin: ({ admin, keys }: Shop) => admin.set(keys[key], 'mine'),
    end: ({ admin, keys }: Shop) => admin.del(keys[key]),
    says: /WRONGTYPE/,
    // As long as nothing is due, only the look for stalled jobs touches it.
    ...(key === 'active' && { endsWithinMs: 12_000 }),
  })),
]

const FAULTS = (['auto', 'wrapped'] as const).flatMap((claims) =>
  faultsOf(COMMANDS[claims]).map((fault) => ({ claims, ...fault })),
)

/** All at the same time, since most take some seconds and some half a minute; each on a queue and with a user of its own. */
const stories = new Map<Fault, Promise<void>>()
beforeAll(() => {
  for (const fault of FAULTS) {
    const story = refuse(fault)
    story.catch(() => {}) // its test reports it
    stories.set(fault, story)
  }
})

test.each(FAULTS)(
  'with claims $claims, where Redis refuses $fails, the worker says so within seconds, tries slowly, and goes on at once',
  (fault) => stories.get(fault),
  150_000,
)

async function refuse({ claims, ...fault }: (typeof FAULTS)[number]): Promise<void> {
  const name = uniqueName('refused')
  const admin = new Redis(redisUrl())
  const shop = { admin, user: name, keys: namedQueue({ name }).keys }
  await acl('reset', 'on', '>secret', '~*', '&*', '+@all')(shop)
  const worker = startWorker(`redis://${name}:secret@${new URL(redisUrl()).host}`, name, claims)
  try {
    await worker.start(new AbortController().signal)
    expect(worker.failure).toBeUndefined()
    const fetchedBefore = worker.errors.length
    await fault.begin(shop)
    if (fault.isOnlyWithJob) await addDueJob(name)
    await eventually('it says so', () => worker.failure, 20_000)
    expect(worker.failure).toBeInstanceOf(OrderExpiryError)
    expect(worker.failure).toMatchObject({ code: 'REDIS_REFUSED', message: expect.stringMatching(fault.says) })
    expect(worker.errors.length - fetchedBefore).toBeLessThan(40)
    if (fault.isOnlyWithJob) {
      const refusals = worker.errors.length
      await eventually('the job has come again', () => worker.errors.length > refusals || !worker.failure, 45_000)
      expect(worker.failure).toBeDefined()
    }
    await fault.end(shop)
    const mendedAt = systemClock.monotonic()
    await eventually('it goes on', () => worker.failure === undefined, fault.endsWithinMs ?? 15_000)
    await eventually('it is alive', () => worker.heartbeat.ageMs < 6_000)
    expect(systemClock.monotonic() - mendedAt).toBeLessThan(fault.endsWithinMs ?? 3_500)
    if (!fault.isOnlyWithJob) return
    const { active, completed } = shop.keys
    await eventually('the job is completed', async () => (await admin.zcard(completed)) === 1, 40_000)
    expect(await admin.lrange(active, 0, -1)).toEqual([])
    expect(worker.settled).toEqual(['1'])
  } finally {
    await worker.stop()
    await admin.call('ACL', 'DELUSER', name)
    admin.disconnect()
  }
}

test('in a Redis in cluster mode, a queue without a hash tag', async () => {
  const node = await startClusterNode()
  closing.push(() => node.stop())
  const worker = startWorker(node.url, uniqueName('refused'))
  closing.push(() => worker.stop())
  await worker.start(new AbortController().signal)
  await eventually('it says so', () => worker.failure)
  expect(worker.failure?.message).toMatch(/cluster mode: set QUEUE_PREFIX=\{bull\}/)
  expect(worker.errors.length).toBeLessThan(40)
})

async function addDueJob(name: string): Promise<void> {
  const raw = new RawQueue(redisUrl(), name)
  await raw.queue.add('check-payment', { orderId: '1' })
  await raw.queue.close()
  raw.redis.disconnect()
}

function startWorker(redis: string, name: string, claims: Kind = 'auto') {
  const events = new EventBus()
  const errors: Error[] = []
  events.on('worker-error', ({ error }) => errors.push(error))
  const settled: string[] = []
  const heartbeat = new Heartbeat({ name: 'worker', clock: systemClock })
  const worker = createWorkerService({
    redis,
    queue: namedQueue({ name }),
    claims,
    concurrency: 50,
    batchSize: 25,
    maxBatches: 2,
    maxAttempts: 3,
    paymentTimeoutMs: 300_000,
    settle: async (checks) => {
      settled.push(...checks.map(({ orderId }) => orderId))
      return checks.map(() => ({ kind: 'missing', evidence: { decidedAt: Date.now() } }))
    },
    decidedBy: 'test:1',
    heartbeat,
    isRedisAway: () => false,
    ring: async () => {},
    longestSleepMs: 1_000,
    events,
    clock: systemClock,
  })
  return Object.assign(worker, { errors, heartbeat, settled })
}
