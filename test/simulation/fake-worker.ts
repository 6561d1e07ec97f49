import type { nextStep } from '../../src/order/next-step.ts'
import type { Check } from '../../src/order/order.ts'
import type { Settle, Settlement } from '../../src/order/settle.ts'
import type { WorkerService } from '../../src/queue/worker/worker.ts'
import { Batcher } from '../../src/runtime/batcher.ts'
import type { FakeQueue, Job } from './fake-queue.ts'
import type { Host } from './host.ts'

/** Longer than that of the real worker, which nobody wakes when it is another one that could fetch a job. */
const LONGEST_SLEEP_MS = 20_000
const RUN_RETRY_MS = 500
const BATCH_PATIENCE_MS = 5
const MAX_ATTEMPTS = 3

/** A job that has been finished, and what its check has seen. */
export interface FinishedJob {
  job: Job
  at: number
  kind: string
  decidedAt: number
}

/** What `queue/worker/` does with BullMQ: fetches checks, has them settled in batches, and does as `nextStep` says. */
export class FakeWorker implements WorkerService {
  readonly name = 'worker'
  readonly failure = undefined
  #isPaused = false
  readonly #options: FakeWorkerOptions
  readonly #batcher: Batcher<Check, Settlement>
  #inFlight = 0

  constructor(options: FakeWorkerOptions) {
    this.#options = options
    const { host, settle, batchSize, maxBatches } = options
    this.#batcher = new Batcher({
      run: settle,
      maxBatch: batchSize,
      maxInFlight: maxBatches,
      patience: { ms: BATCH_PATIENCE_MS, clock: host },
    })
  }

  async start(): Promise<void> {
    void this.#run()
  }

  async stop(): Promise<void> {}

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
  }

  async #run(): Promise<void> {
    const { host, queue, concurrency } = this.#options
    for (;;) {
      const free = concurrency - this.#inFlight
      if (!this.#isPaused && free > 0 && queue.nextDue <= queue.now) {
        const jobs = await queue.fetch(host, free).catch(() => undefined)
        for (const job of jobs ?? []) void this.#check(job)
        if (!jobs) await host.sleep(RUN_RETRY_MS)
        else if (jobs.length > 0) continue
      }
      const untilDue = this.#isPaused || free === 0 ? 100 : queue.nextDue - queue.now
      await queue.rest(host, Math.min(LONGEST_SLEEP_MS, Math.max(1, untilDue)))
    }
  }

  async #check(job: Job): Promise<void> {
    const { host, queue, nextStep, onFinished } = this.#options
    this.#inFlight++
    const { orderId, deadline, started, failed } = job
    const settlement = await this.#batcher.add({ orderId, deadline })
    const step = nextStep({
      settlement,
      started,
      failed,
      maxAttempts: MAX_ATTEMPTS,
      now: queue.now,
      random: host.random,
    })
    const why = step.kind === 'finish' ? step.outcome.kind : step.kind === 'postpone' ? step.why : step.error.code
    host.note(`check of ${orderId}: ${step.kind}, ${why}${'delayMs' in step ? `, for ${step.delayMs} ms` : ''}`)
    try {
      await queue.settle(host, job, () => {
        if (step.kind === 'retry') job.failed++
        if (step.kind === 'finish') {
          job.state = 'completed'
          onFinished({ job, at: host.scheduler.now, kind: why, decidedAt: step.outcome.evidence.decidedAt })
        } else if (step.kind === 'give-up') job.state = 'failed'
        else Object.assign(job, { state: 'delayed', dueAt: queue.now + step.delayMs })
      })
    } catch (error) {
      host.note(`check of ${orderId} cannot be recorded: ${(error as Error).message}`)
      if (job.holder === host) job.droppedAt = host.scheduler.now
    }
    this.#inFlight--
  }
}

interface FakeWorkerOptions {
  host: Host
  queue: FakeQueue
  settle: Settle
  nextStep: typeof nextStep
  concurrency: number
  batchSize: number
  maxBatches: number
  onFinished: (finished: FinishedJob) => void
}
