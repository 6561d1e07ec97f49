import type { FinishedCheck } from '../../src/queue/contract.ts'
import { JOB_NAME } from '../../src/queue/contract.ts'
import type { Claim, Claims, CompletedJob, FailedJob, PutBackJob, Refusal } from '../../src/queue/worker/claims.ts'
import type { FakeQueue, Job } from './fake-queue.ts'
import type { Host } from './host.ts'

/** How often an answer is lost, so that the client asks again. */
const LOST_SHARE = 0.05

/** A job that has been finished, and what its check has seen. */
export interface FinishedJob {
  job: Job
  at: number
  kind: string
  decidedAt: number
}

/** Claims on a queue that delivers at least once; each call may be carried out twice. */
export class FakeClaims implements Claims {
  readonly #host: Host
  readonly #queue: FakeQueue
  readonly #onFinished: (finished: FinishedJob) => void

  constructor(options: { host: Host; queue: FakeQueue; onFinished: (finished: FinishedJob) => void }) {
    this.#host = options.host
    this.#queue = options.queue
    this.#onFinished = options.onFinished
  }

  async putStalledBack(): Promise<string[]> {
    return [] // the queue does it
  }

  async claim({ token, most }: { token: string; most: number }): Promise<Claim> {
    const jobs = await this.#request('queue.claim', () => this.#queue.claim({ host: this.#host, token, most }))
    const { now, nextDue } = this.#queue
    return {
      now,
      jobs: jobs.map(({ jobId, orderId, deadline, started, failed }) => ({
        id: jobId,
        data: JSON.stringify({ orderId, deadline }),
        opts: '{}',
        timestamp: '0',
        fields: { name: JOB_NAME, ats: `${started}`, atm: `${failed}` },
      })),
      strangers: [],
      nextAt: nextDue <= now ? 0 : nextDue,
      limitedMs: 0,
      isHeld: false,
    }
  }

  complete(token: string, jobs: readonly CompletedJob[]): Promise<Refusal[]> {
    return this.#end(token, jobs, (job, { returnvalue }) => {
      const { outcome, decidedAt } = JSON.parse(returnvalue) as FinishedCheck
      job.state = 'completed'
      this.#host.note(`check of ${job.orderId}: finish, ${outcome}`)
      this.#onFinished({ job, at: this.#host.scheduler.now, kind: outcome, decidedAt: Date.parse(decidedAt) })
    })
  }

  fail(token: string, failed: FailedJob): Promise<Refusal[]> {
    return this.#end(token, [failed], (job) => {
      job.state = 'failed'
      this.#host.note(`check of ${job.orderId}: give-up, ${failed.failedReason}`)
    })
  }

  async putBack(token: string, jobs: readonly PutBackJob[]): ReturnType<Claims['putBack']> {
    const changed: [string, string][] = []
    const refused = await this.#end(token, jobs, (job, { dueAt, data, note, failedReason }) => {
      const { orderId, deadline } = job
      const isMoved = (JSON.parse(data) as { deadline: number }).deadline !== deadline
      if (isMoved) return changed.push([job.jobId, JSON.stringify({ orderId, deadline })])
      if (failedReason !== undefined) job.failed++
      Object.assign(job, { state: 'delayed', dueAt })
      return this.#host.note(`${orderId}: ${note}`)
    })
    return { refused, changed }
  }

  #end<Ended extends { id: string }>(
    token: string,
    jobs: readonly Ended[],
    effect: (job: Job, ended: Ended) => unknown,
  ): Promise<Refusal[]> {
    const host = this.#host
    return this.#request('queue.end', () =>
      jobs.flatMap((ended): Refusal[] => {
        const isOurs = this.#queue.end({ host, token, jobId: ended.id }, (job) => effect(job, ended))
        return isOurs ? [] : [[ended.id, -2]]
      }),
    )
  }

  async #request<T>(what: string, effect: () => T): Promise<T> {
    if (this.#host.random() < LOST_SHARE) await this.#host.request(`${what}, answer lost`, effect)
    return this.#host.request(what, effect)
  }
}
