import { EventBus } from '../../src/observe/events.ts'
import type { nextStep } from '../../src/order/next-step.ts'
import type { Settle } from '../../src/order/settle.ts'
import { Pump } from '../../src/queue/worker/pump.ts'
import { Trouble } from '../../src/queue/worker/trouble.ts'
import type { WorkerService } from '../../src/queue/worker/worker.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { FakeClaims, type FinishedJob } from './fake-claims.ts'
import type { FakeQueue } from './fake-queue.ts'
import type { Host } from './host.ts'

/** Longer than that of the real worker, which nobody wakes when it is another one that could claim a job. */
const LONGEST_SLEEP_MS = 20_000
const MAX_ATTEMPTS = 3

/** The real {@link Pump}, on a queue that is a fake. */
export class FakeWorker implements WorkerService {
  readonly name = 'worker'
  readonly failure = undefined
  readonly isWrapped = false
  readonly #pump: Pump

  constructor(options: {
    host: Host
    queue: FakeQueue
    settle: Settle
    nextStep: typeof nextStep
    concurrency: number
    batchSize: number
    maxBatches: number
    onFinished: (finished: FinishedJob) => void
  }) {
    const { host, queue, nextStep, onFinished, ...others } = options
    this.#pump = new Pump({
      ...others,
      workerId: host.name,
      claims: new FakeClaims({ host, queue, onFinished }),
      sleep: {
        for: (ms) => queue.rest(host, Math.min(LONGEST_SLEEP_MS, Math.max(1, ms))),
        tell: () => {},
        handOn: async () => queue.wakeAll(),
        end: async () => {},
      },
      trouble: new Trouble({ clock: host, random: host.random }),
      onError: (error) => host.note(`worker: ${error.message}`),
      maxAttempts: MAX_ATTEMPTS,
      paymentTimeoutMs: 0,
      decidedBy: host.name,
      heartbeat: new Heartbeat({ name: 'worker', clock: host }),
      nextStepOf: nextStep,
      random: host.random,
      events: new EventBus(),
      // That of Redis.
      clock: { now: () => queue.now, monotonic: () => host.monotonic(), sleep: (...asked) => host.sleep(...asked) },
    })
  }

  async start(): Promise<void> {
    this.#pump.start()
  }

  async stop(): Promise<void> {}

  pause(): void {
    this.#pump.pause()
  }

  resume(): void {
    this.#pump.resume()
  }
}
