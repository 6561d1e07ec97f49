import type { JobBefore } from '../queue/add-if-absent.ts'
import { CheckQueue, type OpenQueue } from '../queue/check-queue.ts'
import { jobIdOf, type Placement } from '../queue/contract.ts'
import { moveJob, placeJobs } from '../queue/jobs.ts'
import { describeJob, type FoundCheck } from '../queue/view/check-facts.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'

/** The checks of orders, as the calls of a client need them: jobs of the queue, or what a test keeps in memory. */
export interface Checks {
  /** As `placeJobs` of the queue. */
  place(
    placements: readonly Placement[],
    options?: { isLate?: () => boolean; keepsDecided?: boolean },
  ): Promise<(JobBefore | Error | undefined)[]>

  /** As `moveJob` of the queue. */
  move(placement: Placement): Promise<'rescheduled' | 'unchanged' | 'scheduled' | 'checking'>

  /** Takes back the check of an order, unless it is under way or has finished. */
  remove(orderId: string): Promise<'removed' | 'checking' | 'missing'>

  find(orderId: string): Promise<FoundCheck | undefined>
}

/** The checks in the queue: their connection is opened with the first use, and again after a failure. */
export class QueueChecks {
  readonly #queue: CheckQueue
  #checks: (Checks & { of: OpenQueue }) | undefined

  constructor(options: { connection: Connection; queue: NamedQueue }) {
    this.#queue = new CheckQueue(options)
  }

  /** As {@link CheckQueue.open}. */
  open(): Checks | Promise<Checks> {
    const open = this.#queue.open()
    return open instanceof Promise ? open.then((opened) => this.#checksOf(opened)) : this.#checksOf(open)
  }

  close(): Promise<void> {
    return this.#queue.close()
  }

  #checksOf(open: OpenQueue): Checks {
    if (this.#checks?.of !== open) {
      this.#checks = {
        of: open,
        place: placeJobs.bind(undefined, open),
        move: moveJob.bind(undefined, open),
        remove: removeJob.bind(undefined, open),
        find: findJob.bind(undefined, open),
      }
    }
    return this.#checks
  }
}

async function removeJob({ queue }: OpenQueue, orderId: string): Promise<'removed' | 'checking' | 'missing'> {
  const job = await queue.getJob(jobIdOf(orderId))
  if (!job || job.finishedOn) return 'missing'
  return (await queue.remove(jobIdOf(orderId))) === 1 ? 'removed' : 'checking'
}

async function findJob({ queue }: OpenQueue, orderId: string): Promise<FoundCheck | undefined> {
  const [job, state] = await Promise.all([queue.getJob(jobIdOf(orderId)), queue.getJobState(jobIdOf(orderId))])
  return job && describeJob(job, state)
}
