import { createRedisBackend, type IRedisClient, type Job, type Processor, Worker, type WorkerOptions } from 'bullmq'
import { joinWrites } from '../../redis/corked-writes.ts'
import { callScriptsFast } from '../../redis/fast-scripts.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Heartbeat } from '../../runtime/heartbeat.ts'
import { Alarm } from './alarm.ts'

/**
 * The longest a worker sleeps before it looks at the queue again, in seconds. An earlier job wakes exactly one sleeping
 * worker; if that one dies, the others find the job so much later.
 */
const LONGEST_SLEEP_S = 1
/** Redis may end a wait so much later than it was asked to, on its timer; see {@link Alarm}. */
const TIMER_MS = 200

/** After so many fetches in a row that have brought a job, there are more of them at once, and so many at most. */
const MANY_IN_A_ROW = 16
const FETCH_BESIDE = 32

/** What BullMQ's loop knows, in fields that are private there. */
interface Loop {
  /** What it waits for: fetches under way, and jobs until their end. */
  mainLoopQueue?: { add(job: Promise<Job | undefined>): void; numTotal(): number } | null
  /** There was nothing to fetch. */
  drained: boolean
}

/** BullMQ's worker, which wakes on the millisecond, and whose fetch loop can be seen to go on. */
export class CheckWorker extends Worker {
  readonly #heartbeat: Heartbeat
  readonly #alarm: Alarm
  readonly #clock: Clock
  /** Whether a job is due at the end of the wait that comes. */
  #isDueThen = false
  /** Jobs that the loop has taken and not begun. */
  #notBegun = 0
  /** Fetches in a row that have brought a job. */
  #inARow = 0
  #fetchedBeside = 0

  /** @param options.ring sends Redis a command that does nothing */
  constructor(
    queueName: string,
    processor: Processor,
    options: WorkerOptions & { heartbeat: Heartbeat; ring: () => Promise<unknown>; clock: Clock },
  ) {
    const { heartbeat, ring, clock, ...workerOptions } = options
    const alarm = new Alarm({ ring, clock })
    super(
      queueName,
      processor,
      { ...workerOptions, drainDelay: LONGEST_SLEEP_S, autorun: false },
      (...backendOptions) => {
        const backend = createRedisBackend(...backendOptions)
        const waitForJob = backend.waitForJob.bind(backend)
        backend.client.then(speedUp).catch(() => {}) // the worker says so itself
        return Object.assign(backend, {
          waitForJob: (seconds: number) => (this.#isDueThen ? alarm.during(seconds, waitForJob) : waitForJob(seconds)),
        })
      },
    )
    this.#heartbeat = heartbeat
    this.#alarm = alarm
    this.#clock = clock
    this.run().catch((error) => this.emit('error', error))
  }

  override get maximumBlockTimeout(): number {
    return LONGEST_SLEEP_S
  }

  /**
   * The alarm ends only the wait at whose end a job is due. One that is due just after the longest wait would be late, since
   * Redis ends that one on its timer: so the longest wait is a little shorter before it.
   */
  protected override getBlockTimeout(blockUntil: number): number {
    const seconds = super.getBlockTimeout(blockUntil)
    this.#isDueThen = blockUntil > 0 && seconds < LONGEST_SLEEP_S
    if (!(blockUntil > 0) || this.#isDueThen) return seconds
    return Math.min(LONGEST_SLEEP_S, (blockUntil - this.#clock.now() - TIMER_MS) / 1_000)
  }

  /**
   * The loop fetches, whether or not there is something, or Redis refuses. By itself it would fetch, one after the other,
   * for as long as there is something and it has room, and only then begin with what it has: where orders fall due about as
   * fast as they can be fetched, the first would wait for hundreds of others. So it is told that there is nothing.
   */
  protected override async moveToActive(
    ...args: Parameters<Worker['moveToActive']>
  ): ReturnType<Worker['moveToActive']> {
    if (this.#notBegun > 0) {
      this.#loop.drained = false // or it would wait for Redis, without knowing until when
      return undefined as unknown as Job
    }
    const job = await this.#fetch(...args)
    if (job && this.#inARow >= MANY_IN_A_ROW) this.#fetchMore()
    return job
  }

  async #fetch(...args: Parameters<Worker['moveToActive']>): ReturnType<Worker['moveToActive']> {
    try {
      const job = await super.moveToActive(...args)
      if (!job) this.#alarm.tell(false)
      this.#inARow = job ? this.#inARow + 1 : 0
      return job
    } finally {
      this.#heartbeat.beat()
    }
  }

  get #loop(): Loop {
    return this as unknown as Loop
  }

  /** Fetches beside the loop while many are due, so that it does not take hundreds of round trips to be at work. */
  #fetchMore(): void {
    const { mainLoopQueue: taken } = this.#loop
    if (!taken || this.closing || this.isPaused()) return
    const room = Math.min(FETCH_BESIDE, this.#inARow, this.concurrency - taken.numTotal())
    for (let n = 0; n < room; n++) {
      const fetched = this.#fetch(`${this.id}:beside-${this.#fetchedBeside++}`, this.opts.name as string)
      taken.add(
        fetched.catch((error) => {
          if (!this.closing) this.emit('error', error)
          return undefined
        }),
      )
    }
  }

  /** The loop takes what it has fetched, or what came with the end of another job. */
  protected override async nextJobFromJobData(
    ...args: Parameters<Worker['nextJobFromJobData']>
  ): ReturnType<Worker['nextJobFromJobData']> {
    this.#heartbeat.beat()
    if (args[0]) this.#alarm.tell(true)
    const job = await super.nextJobFromJobData(...args)
    if (job) this.#notBegun++
    return job
  }

  override processJob(...args: Parameters<Worker['processJob']>): ReturnType<Worker['processJob']> {
    this.#notBegun--
    return super.processJob(...args)
  }
}

function speedUp(client: IRedisClient): void {
  joinWrites(client)
  callScriptsFast(client)
}
