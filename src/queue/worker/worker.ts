import { AsyncResource } from 'node:async_hooks'
import type { ConnectionOptions, Telemetry, Worker } from 'bullmq'
import { OrderExpiryError } from '../../errors.ts'
import type { Settle } from '../../order/settle.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { asRedisError } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { workerProfile } from '../../redis/profiles.ts'
import { isRedisRejection } from '../../redis/reply.ts'
import type { Heartbeat } from '../../runtime/heartbeat.ts'
import { retryUntilDone } from '../../runtime/retry.ts'
import type { Service } from '../../runtime/service.ts'
import { untilAborted } from '../../runtime/timeout.ts'
import { unreadableJob } from '../contract.ts'
import { whyUnreadable } from '../unreadable-data.ts'
import { type CheckOptions, check } from './check.ts'
import { CheckWorker } from './check-worker.ts'
import { Lanes } from './lanes.ts'

export interface WorkerOptions extends CheckOptions {
  redis: RedisAddress
  queue: NamedQueue
  /** Checks in flight at once. */
  concurrency: number
  /** Checks in one statement at most. */
  batchSize: number
  /** Batches of good orders in flight at once. One more connection of the store serves those that were left behind. */
  maxBatches: number
  settle: Settle
  heartbeat: Heartbeat
  /** Whether Redis is known not to answer. */
  isRedisAway: () => boolean
  ring: () => Promise<unknown>
  /** Tells the queue that there may be a job. */
  wakeAnother?: () => Promise<unknown>
  /** See {@link CheckWorker}. */
  longestSleepMs?: number
  telemetry?: Telemetry | undefined
}

/** A lock survives a pause this long. A crashed worker's jobs are taken over after that and one look for stalled jobs. */
const LOCK_MS = 15_000
const STALLED_CHECK_MS = 10_000
/** Stalling says something about workers, never about the order, so it must not fail its job. */
const MAX_STALLED = 1_000_000
const RUN_RETRY_MS = 500
/** During the stop, the pause between two looks for work still to wait for. */
const STOP_LOOK_MS = 100
/** A Redis that has not recorded the outcomes of the last batch within this time is away. */
const STOP_IDLE_MS = 5_000

export interface WorkerService extends Service {
  /** Why Redis has not let it work for some seconds; undefined: it does, or the worker has not begun. */
  readonly failure: OrderExpiryError | undefined
  /** Fetches no further checks until {@link resume}; those in flight go on. Both may be called at any time, repeatedly. */
  pause(): void
  resume(): void
}

/** The worker pool as a service: takes due checks from the queue, settles them in batches, records what became of them. */
export function createWorkerService(options: WorkerOptions): WorkerService {
  const { redis, events, clock } = options
  const lanes = new Lanes(options)
  let worker: CheckWorker | undefined
  let isPaused = false
  let stopping: Promise<void> | undefined

  return {
    name: 'worker',
    async start(signal) {
      await retryUntilDone({
        attempt: async () => {
          worker = createWorker(options, lanes)
          if (isPaused) void worker.pause(true) // before it fetches anything
          try {
            await untilAborted(worker.waitUntilReady(), signal)
          } catch (error) {
            await worker.close(true).catch(() => {})
            worker = undefined
            throw isRedisRejection(error) ? asRedisError(error, redis) : error
          }
        },
        isRetryable: (error) => !(error instanceof OrderExpiryError),
        onWait: (error, waitMs) =>
          events.emit('waiting-for', { service: 'redis', error: asRedisError(error, redis), waitMs }),
        clock,
        signal,
      })
    },
    get failure() {
      return worker?.failure && asRedisError(worker.failure, redis)
    },
    // A check calls this, and the loop must not go on in the trace of that check.
    pause: AsyncResource.bind(() => {
      isPaused = true
      // Does not wait for the checks in flight: they are about to be postponed.
      worker?.pause(true).catch((error: Error) => events.emit('worker-error', { error }))
    }),
    resume: AsyncResource.bind(() => {
      isPaused = false
      void worker?.resume() // reports its own errors
    }),
    async stop() {
      stopping ??= worker && close({ ...options, worker, lanes })
      await stopping
    },
  }
}

function createWorker(options: WorkerOptions, lanes: Lanes): CheckWorker {
  const { redis, queue, events } = options
  const worker: CheckWorker = new CheckWorker(queue.name, (job) => check({ job, worker, lanes, options }), {
    connection: workerProfile(options.redis) as ConnectionOptions,
    prefix: queue.prefix,
    concurrency: options.concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: MAX_STALLED,
    runRetryDelay: RUN_RETRY_MS,
    settings: { backoffStrategy: () => RUN_RETRY_MS },
    heartbeat: options.heartbeat,
    ring: options.ring,
    ...(options.wakeAnother && { wakeAnother: options.wakeAnother }),
    ...(options.longestSleepMs !== undefined && { longestSleepMs: options.longestSleepMs }),
    pace: lanes,
    onStranger: (jobId) =>
      events.emit('check-given-up', { jobId, error: unreadableJob(jobId, whyUnreadable(undefined)) }),
    ...(options.telemetry && { telemetry: options.telemetry }),
    clock: options.clock,
  })
  worker.on('error', (error) =>
    events.emit('worker-error', { error: isRedisRejection(error) ? asRedisError(error, redis) : error }),
  )
  return worker
}

/** Waits for the checks in flight; whoever calls stop limits how long. */
async function close(options: WorkerOptions & { worker: Worker; lanes: Lanes }): Promise<void> {
  const { worker, lanes, isRedisAway, clock } = options
  const closed = new AbortController()
  const done = worker.close().finally(() => closed.abort())
  let idleSince: number | undefined
  while (!closed.signal.aborted) {
    idleSince = lanes.isIdle ? (idleSince ?? clock.monotonic()) : undefined
    if (idleSince !== undefined && (isRedisAway() || clock.monotonic() - idleSince > STOP_IDLE_MS)) {
      // BullMQ would wait for ever to tell Redis what became of the checks, or for a lost connection to end, even if Redis is
      // back by now. The checks are decided: whoever gets one of them again finds that.
      void worker.disconnect().catch(() => {})
      return
    }
    await clock.sleep(STOP_LOOK_MS, closed.signal).catch(() => {})
  }
  await done
}
