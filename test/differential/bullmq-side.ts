import { Job, UnrecoverableError } from 'bullmq'
import { NOTES_KEPT } from '../../src/queue/view/check-notes.ts'
import { type Held, type PutBack, type Refused, Side } from './side.ts'

/** Jobs are taken and ended one by one, by the means that BullMQ gives everybody. */
export class BullMqSide extends Side {
  readonly called = 'BullMQ'
  readonly #jobs = new Map<string, Job>()

  async open(): Promise<void> {
    this.worker.on('error', () => {}) // it cannot repeat what is not scheduled any more
    await this.worker.waitUntilReady()
  }

  protected async takeJobs(token: string, most: number): Promise<Held[]> {
    const held: Held[] = []
    while (held.length < most) {
      const job = await this.#next(token)
      if (!job) break
      const id = job.id as string
      // Ours keeps the evidence, whatever the job says.
      job.opts = { ...job.opts, removeOnComplete: false, removeOnFail: false }
      this.#jobs.set(`${id} ${token}`, job)
      const data = (await this.redis.hget(this.key(id), 'data')) ?? ''
      held.push({ id, token, data, failed: job.attemptsMade, attempts: job.opts.attempts ?? 0, opts: {} })
    }
    return held
  }

  async #next(token: string): Promise<Job | undefined> {
    try {
      return await this.worker.getNextJob(token, { block: false })
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      // It has been taken; only then BullMQ finds that it cannot be read.
      const id = (await this.redis.lindex(this.key('active'), 0)) as string
      const [opts, atm] = await this.redis.hmget(this.key(id), 'opts', 'atm')
      const job = new Job(this.worker, 'unreadable', {}, JSON.parse(opts ?? '{}'), id)
      job.attemptsMade = Number(atm)
      return job
    }
  }

  protected completeJobs(jobs: readonly Held[], token: string, value: unknown): Promise<Refused[]> {
    return this.#each(jobs, 'completed', (job) => job.moveToCompleted(value, token, false))
  }

  protected failJob(job: Held, token: string, reason: string): Promise<Refused[]> {
    return this.#each([job], 'failed', (one) => one.moveToFailed(new UnrecoverableError(reason), token, false))
  }

  protected async putJobsBack(jobs: readonly Held[], token: string, how: PutBack) {
    const changed: [string, string][] = []
    const same: Held[] = []
    for (const job of jobs) {
      const data = await this.redis.hget(this.key(job.id), 'data')
      const isOurs = (await this.redis.get(this.key(`${job.id}:lock`))) === token
      if (isOurs && data !== null && data !== job.data) changed.push([job.id, data])
      else same.push(job)
    }
    const refused = await this.#each(same, 'delayed', (job) => this.#putBack(job, token, how))
    return { refused, changed }
  }

  async #putBack(job: Job, token: string, { delay, priority, note, failedReason }: PutBack): Promise<void> {
    const id = job.id as string
    const backend = this.worker.getBackend()
    if (failedReason === undefined) await job.moveToDelayed(Date.now() + delay, token)
    else await backend.moveToDelayed(id, Date.now(), delay, token, { fieldsToUpdate: { failedReason } })
    await this.redis.hset(this.key(id), 'priority', priority)
    await backend.addLog(id, note, NOTES_KEPT)
  }

  protected async lookForStalled(): Promise<void> {
    await this.worker.getBackend().moveStalledJobsToWait()
  }

  /** One after the other. What has come to this end already is no refusal. */
  async #each(jobs: readonly Held[], end: string, step: (job: Job) => Promise<unknown>): Promise<Refused[]> {
    const refused: Refused[] = []
    for (const { id, token } of jobs) {
      try {
        await step(this.#jobs.get(`${id} ${token}`) as Job)
      } catch (error) {
        const { code } = error as { code?: number }
        if (code === undefined) throw error
        const isEnded = (code === -2 || code === -6) && (await this.redis.zscore(this.key(end), id)) !== null
        if (!isEnded) refused.push([id, code])
      }
    }
    return refused
  }
}
