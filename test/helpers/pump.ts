import { EventBus } from '../../src/observe/events.ts'
import type { Check } from '../../src/order/order.ts'
import type { Settlement } from '../../src/order/settle.ts'
import { createWorkerService, type WorkerOptions, type WorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { deferred } from '../unit/deferred.ts'
import { closing } from './closing.ts'
import { redisUrl } from './env.ts'
import type { RawQueue } from './raw-queue.ts'

/** A settlement of a check: its order was paid. */
export function kept({ deadline }: Check): Settlement {
  return { kind: 'kept', status: 'paid', evidence: { decidedAt: Date.now(), status: 'paid', deadline } }
}

const gates: (() => void)[] = []

/** Settles nothing until it is let go; knows what it was asked, batch by batch. */
export function gate() {
  const go = deferred<void>()
  gates.push(() => go.resolve())
  const batches: string[][] = []
  const settle = async (checks: readonly Check[]) => {
    batches.push(checks.map(({ orderId }) => orderId))
    await go.promise
    return checks.map(kept)
  }
  return { settle, batches, go: () => go.resolve(), asked: () => batches.flat().length }
}

/** Starts the worker of a queue whose orders are all paid, unless it is told otherwise. */
export async function startPump(
  raw: RawQueue,
  overrides: Partial<WorkerOptions> = {},
): Promise<{ worker: WorkerService; events: EventBus }> {
  const events = new EventBus()
  const worker = createWorkerService({
    redis: redisUrl(),
    queue: namedQueue({ name: raw.name }),
    concurrency: 1_000,
    batchSize: 250,
    maxBatches: 4,
    maxAttempts: 3,
    paymentTimeoutMs: 300_000,
    settle: async (checks) => checks.map(kept),
    decidedBy: 'test:1',
    heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
    isRedisAway: () => false,
    ring: () => raw.redis.ping(),
    wakeAnother: () => raw.redis.zadd(raw.queue.toKey('marker'), 0, '0'),
    events,
    clock: systemClock,
    ...overrides,
  })
  closing.push(() => {
    for (const letGo of gates.splice(0)) letGo() // of a test that has failed
    return worker.stop()
  })
  await worker.start(new AbortController().signal)
  return { worker, events }
}

/** Adds jobs that are due at once, `1` and so on. */
export async function addDue(raw: RawQueue, count: number, opts: object = {}): Promise<void> {
  await raw.queue.addBulk(
    Array.from({ length: count }, (_, n) => ({
      name: 'check-payment',
      data: { orderId: `${n + 1}`, deadline: Date.now() - 1 },
      opts: { jobId: `job-${n + 1}`, ...opts },
    })),
  )
}
