import { AsyncResource } from 'node:async_hooks'
import { type ConnectionOptions, type RedisQueueBackend, type Telemetry, Worker } from 'bullmq'
import { OrderExpiryError } from '../../errors.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { asRedisError } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { workerProfile } from '../../redis/profiles.ts'
import { isRedisRejection } from '../../redis/reply.ts'
import { createLoop } from '../../runtime/loop.ts'
import { retryUntilDone } from '../../runtime/retry.ts'
import type { Service } from '../../runtime/service.ts'
import { untilAborted } from '../../runtime/timeout.ts'
import { unreadableJob } from '../contract.ts'
import { whyUnreadable } from '../unreadable-data.ts'
import { CheckSpans } from './check-spans.ts'
import { KNOWN_BULLMQ } from './fingerprints.ts'
import { openClaims } from './open-claims.ts'
import { createPreparation } from './preparation.ts'
import { Pump } from './pump.ts'
import type { PumpOptions } from './pump-options.ts'
import { LONGEST_SLEEP_MS, Sleep, type SleepOptions } from './sleep.ts'
import { Trouble } from './trouble.ts'

export interface WorkerOptions extends PumpOptions, SleepOptions {
  redis: RedisAddress
  queue: NamedQueue
  /** Whether Redis is known not to answer. */
  isRedisAway: () => boolean
  telemetry?: Telemetry | undefined
  /** `wrapped`: by BullMQ's own scripts, even if they are known. Default `auto` */
  claims?: 'auto' | 'wrapped'
}

/** A lock survives a pause this long. A crashed worker's jobs are taken over after that and one look for stalled jobs. */
const LOCK_MS = 15_000
const STALLED_CHECK_MS = 10_000
/** More than Redis takes longer than it was asked to before it ends a sleep. */
const SLEEP_SLACK_MS = 4_000
/** During the stop, the pause between two looks for work still to wait for. */
const STOP_LOOK_MS = 100
/** A Redis that has not recorded the outcomes of the last batch within this time is away. */
const STOP_IDLE_MS = 5_000

export interface WorkerService extends Service {
  /** Why Redis has not let it work for some seconds; undefined: it does, or the worker has not begun. */
  readonly failure: OrderExpiryError | undefined
  /** Whether it works by BullMQ's own scripts; undefined: it has not begun. */
  readonly isWrapped: boolean | undefined
  /** Claims no further checks until {@link resume}; those in flight go on. Both may be called at any time, repeatedly. */
  pause(): void
  resume(): void
}

/** What runs once there is a connection. */
type Running = Awaited<ReturnType<typeof open>>

/** The worker pool as a service: takes due checks from the queue, settles them in batches, records what became of them. */
export function createWorkerService(options: WorkerOptions): WorkerService {
  const { redis, events, clock } = options
  let running: Running | undefined
  let isPaused = false
  let stopping: Promise<void> | undefined

  return {
    name: 'worker',
    async start(signal) {
      await retryUntilDone({
        attempt: async () => {
          const worker = createWorker(options)
          try {
            running = await untilAborted(open(options, worker), signal)
          } catch (error) {
            await worker.close(true).catch(() => {})
            throw isRedisRejection(error) ? asRedisError(error, redis) : error
          }
          if (isPaused) running.pump.pause() // before it claims anything
          running.pump.start()
          for (const loop of running.loops) void loop.start(signal)
        },
        isRetryable: (error) => !(error instanceof OrderExpiryError),
        onWait: (error, waitMs) =>
          events.emit('waiting-for', { service: 'redis', error: asRedisError(error, redis), waitMs }),
        clock,
        signal,
      })
    },
    get failure() {
      const failure = running?.trouble.failure
      return failure && asRedisError(failure, redis)
    },
    get isWrapped() {
      return running?.isWrapped
    },
    // A check calls this, and the pump must not go on in the trace of that check.
    pause: AsyncResource.bind(() => {
      isPaused = true
      running?.pump.pause()
    }),
    resume: AsyncResource.bind(() => {
      isPaused = false
      running?.pump.resume()
    }),
    async stop() {
      stopping ??= running && close({ ...options, ...running })
      await stopping
    },
  }
}

/** BullMQ's worker without a processor: it has the connections, and is one of the queue's workers for whoever asks. */
function createWorker({ redis, queue, events, telemetry }: WorkerOptions): Worker {
  const worker = new Worker(queue.name, null, {
    connection: workerProfile(redis) as ConnectionOptions,
    prefix: queue.prefix,
    autorun: false,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    ...(telemetry && { telemetry }),
  })
  worker.on('error', (error) =>
    events.emit('worker-error', { error: isRedisRejection(error) ? asRedisError(error, redis) : error }),
  )
  return worker
}

async function open(options: WorkerOptions, worker: Worker) {
  const { queue, telemetry, longestSleepMs = LONGEST_SLEEP_MS, claims: kind = 'auto', events, clock } = options
  await worker.waitUntilReady()
  const backend = worker.getBackend() as RedisQueueBackend
  const sleeper = await backend.blockingClient
  if (sleeper) sleeper.options.socketTimeout = longestSleepMs + SLEEP_SLACK_MS
  const trouble = new Trouble({ clock })
  const onError = (error: Error) => void worker.emit('error', error)
  const client = await backend.client
  const { claims, isWrapped, unknown } = openClaims({ client, queue, workerId: worker.id, lockMs: LOCK_MS, kind })
  if (isWrapped && kind === 'auto') events.emit('claims-wrapped', { scripts: unknown, known: KNOWN_BULLMQ })
  const sleep = new Sleep({ ...options, backend, trouble, onError })
  const spans = telemetry && new CheckSpans(worker)
  const prepare = createPreparation(worker)
  const pump = new Pump({ ...options, workerId: worker.id, claims, sleep, trouble, spans, prepare, onError })
  const repeat = (name: string, pauseMs: number, work: () => Promise<void>) => {
    const step = async () => {
      await work().catch(onError)
      return pauseMs
    }
    return createLoop({ name, step, clock })
  }
  const putStalledBack = async () => {
    const work = claims.putStalledBack({ everyMs: STALLED_CHECK_MS })
    for (const jobId of await trouble.during('look for stalled jobs', work)) {
      events.emit('check-given-up', { jobId, error: unreadableJob(jobId, whyUnreadable(undefined)) })
    }
  }
  const renewLocks = async () => {
    for (const [token, ids] of pump.held) {
      await worker.extendJobLocks([...ids], new Array(ids.size).fill(token), LOCK_MS)
    }
  }
  const loops = [repeat('locks', LOCK_MS / 4, renewLocks), repeat('stalled jobs', STALLED_CHECK_MS, putStalledBack)]
  const forget = () => client.del(queue.keys.receipt(worker.id))
  return { worker, pump, trouble, isWrapped, loops, forget }
}

/** Waits for the checks in flight; whoever calls stop limits how long. */
async function close(options: WorkerOptions & Running): Promise<void> {
  const { worker, pump, loops, forget, isRedisAway, clock } = options
  const closed = new AbortController()
  const closing = async () => {
    await pump.stop()
    await Promise.all(loops.map((loop) => loop.stop()))
    await forget().catch(() => {}) // it expires
    await worker.close()
  }
  const done = closing().finally(() => closed.abort())
  let idleSince: number | undefined
  while (!closed.signal.aborted) {
    idleSince = pump.isSettled ? (idleSince ?? clock.monotonic()) : undefined
    if (idleSince !== undefined && (isRedisAway() || clock.monotonic() - idleSince > STOP_IDLE_MS)) {
      // The pump would wait for ever to tell Redis what became of the checks, and BullMQ for a lost connection to end, even if
      // Redis is back by now. The checks are decided: whoever gets one of them again finds that.
      pump.disconnect()
      for (const loop of loops) void loop.stop()
      void worker.disconnect().catch(() => {})
      done.catch(() => {})
      return
    }
    await clock.sleep(STOP_LOOK_MS, closed.signal).catch(() => {})
  }
  await done
}
