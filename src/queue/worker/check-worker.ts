import { createRedisBackend, type IRedisClient, type Job, type Processor, Worker, type WorkerOptions } from 'bullmq'
import { joinWrites } from '../../redis/corked-writes.ts'
import { callScriptsFast } from '../../redis/fast-scripts.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import type { Heartbeat } from '../../runtime/heartbeat.ts'
import { Alarm } from './alarm.ts'
import type { Lanes } from './lanes.ts'
import { goByRedisTime } from './redis-time.ts'
import { jobOf, readAnyJob } from './stored-jobs.ts'
import { Trouble } from './trouble.ts'

/** The longest sleep, unless told otherwise; see IDLE_POLL_EVERY in `config.ts`. */
const LONGEST_SLEEP_MS = 5_000
/** Before a job that is due sooner the worker sleeps no longer than that, and is woken on the millisecond. */
const DUE_SOON_MS = 1_000
/** More than Redis takes longer than it was asked to before it ends a sleep. */
const SLEEP_SLACK_MS = 4_000
/** Redis ends a wait on its timer, up to this much later than asked; see {@link Alarm}. */
const REDIS_TIMER_MS = 200
/** Of jobs that are due sooner nobody is told, nor of one close to the last: where many are due, that would cost more than they do. */
const TELL_FROM_MS = 500

/** After this many fetches in a row that each brought a job, more fetches run beside the loop's own. */
const FETCHES_IN_A_ROW = 16
/** The most fetches that run beside the loop's own. */
const FETCHES_BESIDE = 32

/** What BullMQ's loop knows, in its private fields. */
interface Loop {
  /** What it waits for: fetches under way, and jobs until their end. */
  mainLoopQueue?: { add(job: Promise<Job | undefined>): void; numTotal(): number } | null
  /** There was nothing to fetch. */
  drained: boolean
}

/** A backend with a connection for the sleep, as BullMQ makes it for workers. */
interface SleepingBackend {
  blockingClient: Promise<IRedisClient>
}

/** How fast jobs are fetched, see {@link Lanes}. */
type Pace = Pick<Lanes, 'isCrowded' | 'untilFetch'>

/** BullMQ's worker, but it goes by the clock of Redis, wakes on the millisecond, and its fetch loop gives signs of life. */
export class CheckWorker extends Worker {
  readonly #heartbeat: Heartbeat
  readonly #pace: Pace | undefined
  readonly #alarm: Alarm
  readonly #clock: Clock
  /** Whether a job is due at the end of the next wait. */
  #isDueThen = false
  /** Jobs that the loop has taken and not begun. */
  #notBegun = 0
  /** A fetch waits for its time. */
  #pause: Promise<void> | undefined
  /** Fetches in a row that each brought a job. */
  #inARow = 0
  #fetchedBeside = 0
  readonly #longestSleepMs: number
  readonly #wakeAnother: () => Promise<unknown>
  /** The instant of which it has told another. */
  #toldOf = 0
  readonly #trouble: Trouble

  /**
   * @param options.ring sends Redis a command that does nothing
   * @param options.onStranger told of a key in the place of a job that is none, and that nobody will fetch again
   * @param options.wakeAnother tells the queue that there may be a job, so that another worker looks
   * @param options.longestSleepMs how often it looks for jobs that nobody has told of. Default 5 s
   * @param options.clock that of Redis
   */
  constructor(
    queueName: string,
    processor: Processor,
    options: WorkerOptions & {
      heartbeat: Heartbeat
      ring: () => Promise<unknown>
      wakeAnother?: () => Promise<unknown>
      longestSleepMs?: number
      onStranger?: (jobId: string) => void
      pace?: Pace
      clock: Clock
    },
  ) {
    const { heartbeat, ring, wakeAnother = async () => {}, longestSleepMs = LONGEST_SLEEP_MS, ...others } = options
    const { onStranger = () => {}, pace, clock, ...workerOptions } = others
    const alarm = new Alarm({ ring, clock })
    const trouble = new Trouble({ clock })
    super(queueName, processor, { ...workerOptions, autorun: false }, (...backendOptions) => {
      const backend = createRedisBackend(...backendOptions)
      const wait = trouble.watchWait(backend.waitForJob.bind(backend), (error) => this.emit('error', error))
      const clientReady = backend.client.then((client) => {
        joinWrites(client)
        goByRedisTime(client)
        callScriptsFast(client)
        readAnyJob(client, { toKey: (part) => this.toKey(part), onStranger, onMended: () => trouble.mended() })
        trouble.watchSteps(client)
      })
      const sleeperReady = (backend as SleepingBackend).blockingClient.then((sleeper) => {
        sleeper.options.socketTimeout = longestSleepMs + SLEEP_SLACK_MS
        sleeper.on('end', () => {
          if (this.closing) wakeAnother().catch(() => {}) // the others look a little later
        })
      })
      for (const ready of [clientReady, sleeperReady]) ready.catch(() => {}) // the worker reports that itself
      return Object.assign(backend, {
        waitForJob: (seconds: number) => (this.#isDueThen ? alarm.during(seconds, wait) : wait(seconds)),
      })
    })
    this.#heartbeat = heartbeat
    this.#pace = pace
    this.#alarm = alarm
    this.#clock = clock
    this.#longestSleepMs = longestSleepMs
    this.#wakeAnother = wakeAnother
    this.#trouble = trouble
    this.#trackLocksByOwnTime()
    this.run().catch((error) => this.emit('error', error))
  }

  /** Why it has not been able to do its work for some seconds. */
  get failure(): Error | undefined {
    return this.#trouble.failure
  }

  /** Redis ends the longest wait on its timer, too late for a job that is due just after it: so before one it is shorter. */
  protected override getBlockTimeout(blockUntil: number): number {
    const untilDueMs = blockUntil > 0 ? blockUntil - this.#clock.now() : Number.POSITIVE_INFINITY
    this.#isDueThen = untilDueMs < DUE_SOON_MS
    if (untilDueMs > TELL_FROM_MS && untilDueMs < this.#longestSleepMs) this.#tellAnother(blockUntil)
    if (!this.#isDueThen) return Math.min(this.#longestSleepMs, untilDueMs - REDIS_TIMER_MS) / 1_000
    return untilDueMs > 0 ? Math.max(untilDueMs / 1_000, this.minimumBlockTimeout) : untilDueMs
  }

  /** A job wakes exactly one sleeping worker. If that one dies, the others would sleep on: so each tells another, once. */
  #tellAnother(blockUntil: number): void {
    if (Math.abs(blockUntil - this.#toldOf) < TELL_FROM_MS) return
    this.#toldOf = blockUntil
    this.#wakeAnother().catch(() => {})
  }

  /** BullMQ renews a lock when the job was begun long enough ago by our own clock, but what the job says is by that of Redis. */
  #trackLocksByOwnTime(): void {
    const { lockManager } = this
    const trackJob = lockManager.trackJob.bind(lockManager)
    lockManager.trackJob = (jobId, token, _begunAt, ...rest) => trackJob(jobId, token, systemClock.now(), ...rest)
  }

  /**
   * BullMQ's loop calls this for each fetch. It would fetch one job after the other while there are jobs and room, and only
   * then begin with them: where orders fall due about as fast as they can be fetched, the first would wait for hundreds of
   * others. So while it has a job that is not begun, it is told that there is nothing.
   */
  protected override async moveToActive(
    ...args: Parameters<Worker['moveToActive']>
  ): ReturnType<Worker['moveToActive']> {
    if (this.#notBegun > 0) return this.#noJob()
    if (this.#pace?.isCrowded) {
      // Each check that is postponed asks for another job: after the pause, one of them all fetches.
      if (this.#pause) return this.#pause.then(() => this.#noJob())
      this.#pause = this.#pace.untilFetch().finally(() => {
        this.#pause = undefined
      })
      await this.#pause
    }
    const job = await this.#fetch(...args)
    if (job && this.#inARow >= FETCHES_IN_A_ROW) this.#fetchMore()
    return job
  }

  #noJob(): Job {
    this.#loop.drained = false // otherwise the loop would wait for Redis, without knowing until when
    return undefined as unknown as Job
  }

  async #fetch(...args: Parameters<Worker['moveToActive']>): ReturnType<Worker['moveToActive']> {
    try {
      const job = await super.moveToActive(...args)
      if (!job) this.#alarm.tell(false)
      this.#inARow = job ? this.#inARow + 1 : 0
      return job
    } catch (error) {
      await this.#clock.sleep(this.#trouble.pauseMs('moveToActive')) // BullMQ fetches again at once
      throw error
    } finally {
      this.#heartbeat.beat()
    }
  }

  get #loop(): Loop {
    return this as unknown as Loop
  }

  /** Fetches beside the loop while many jobs are due, so that full concurrency does not take hundreds of round trips. */
  #fetchMore(): void {
    const { mainLoopQueue: taken } = this.#loop
    if (!taken || this.closing || this.isPaused() || this.#pace?.isCrowded) return
    const room = Math.min(FETCHES_BESIDE, this.#inARow, this.concurrency - taken.numTotal())
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

  /** BullMQ calls this with what it has fetched, or with the job that came in reply to the end of another. */
  protected override async nextJobFromJobData(
    ...args: Parameters<Worker['nextJobFromJobData']>
  ): ReturnType<Worker['nextJobFromJobData']> {
    this.#heartbeat.beat()
    if (args[0]) this.#alarm.tell(true)
    const [json, ...rest] = args
    let job = await super.nextJobFromJobData(...args)
    // BullMQ drops a job whose next repetition it cannot add.
    if (json && !job) job = await super.nextJobFromJobData({ ...json, repeatJobKey: '' }, ...rest)
    if (job) this.#notBegun++
    return job
  }

  protected override createJob(...[json, jobId]: Parameters<Worker['createJob']>): Job {
    return jobOf(json, (readable) => super.createJob(readable, jobId))
  }

  override processJob(...args: Parameters<Worker['processJob']>): ReturnType<Worker['processJob']> {
    this.#notBegun--
    return super.processJob(...args)
  }
}
