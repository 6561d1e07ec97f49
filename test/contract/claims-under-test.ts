import { FlowProducer, type JobsOptions, Worker } from 'bullmq'
import { JOB_NAME } from '../../src/queue/contract.ts'
import type { Claim, Claims, Refusal } from '../../src/queue/worker/claims.ts'
import { openClaims } from '../../src/queue/worker/open-claims.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { type Edit, editedClient } from '../differential/edited-client.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

export const LOCK_MS = 15_000

/** Claims on a queue of their own, and what others see of that queue. */
export class ClaimsUnderTest {
  readonly raw = new RawQueue()
  readonly queue = this.raw.queue
  readonly redis = this.raw.redis
  readonly flows = new FlowProducer({ connection: this.redis })
  /** Has no processor. */
  readonly worker = new Worker(this.raw.name, null, { connection: this.redis, autorun: false })
  claims!: Claims

  /** @param edit of the scripts */
  static async open({
    kind,
    edit = (lua) => lua,
  }: {
    kind: 'auto' | 'wrapped'
    edit?: Edit
  }): Promise<ClaimsUnderTest> {
    const under = new ClaimsUnderTest()
    const client = editedClient(await under.worker.getBackend().client, edit)
    const queue = namedQueue({ name: under.raw.name })
    const { claims } = openClaims({ client, queue, workerId: 'worker', lockMs: LOCK_MS, kind })
    under.claims = claims
    return under
  }

  async close(): Promise<void> {
    await this.worker.close()
    await this.flows.close()
    await this.raw.close()
  }

  key(end: string): string {
    return this.queue.toKey(end)
  }

  async add(jobId: string, opts: JobsOptions = {}, name = JOB_NAME): Promise<void> {
    await this.queue.add(name, { orderId: jobId }, { jobId, ...opts })
  }

  /** Due at that time, in milliseconds from now. */
  addDueIn(jobId: string, ms: number, opts: JobsOptions = {}): Promise<void> {
    const timestamp = Date.now() - 60_000
    return this.add(jobId, { ...opts, timestamp, delay: 60_000 + ms })
  }

  /** A job whose parent waits for it. */
  async addChild(child: string, parent: string, opts: JobsOptions = {}): Promise<void> {
    const of = { queueName: this.raw.name, name: JOB_NAME, data: {} }
    await this.flows.add({ ...of, opts: { jobId: parent }, children: [{ ...of, opts: { ...opts, jobId: child } }] })
  }

  claim(token: string, { most = 100, mostLast = 100 } = {}): Promise<Claim> {
    return this.claims.claim({ token, most, mostLast })
  }

  complete(token: string, ...ids: string[]): Promise<Refusal[]> {
    return this.claims.complete(
      token,
      ids.map((id) => ({ id, returnvalue: '{"outcome":"kept"}', attemptsMade: 1 })),
    )
  }

  putBack(token: string, id: string, how: { dueAt?: number; priority?: number; failedReason?: string } = {}) {
    const data = JSON.stringify({ orderId: id })
    return this.claims.putBack(token, [{ id, dueAt: Date.now() + 60_000, priority: 0, data, note: 'put back', ...how }])
  }

  /** The ids of the active jobs, in the order in which they became active. */
  async active(): Promise<string[]> {
    return (await this.redis.lrange(this.key('active'), 0, -1)).reverse()
  }

  state(id: string): Promise<string> {
    return this.queue.getJobState(id)
  }

  fields(id: string): Promise<Record<string, string>> {
    return this.redis.hgetall(this.key(id))
  }

  /** What the queue has told of a job, as `event`s in order. */
  async events(id: string): Promise<string[]> {
    const entries = await this.redis.xrange(this.key('events'), '-', '+')
    const told = entries.map(([, flat]) => new Map(flat.flatMap((field, n) => (n % 2 ? [] : [[field, flat[n + 1]]]))))
    return told.flatMap((fields) => (fields.get('jobId') === id ? [fields.get('event') as string] : []))
  }

  lockOf(id: string): Promise<string | null> {
    return this.redis.get(this.key(`${id}:lock`))
  }

  /** Another sleeps until there is word of a job. */
  async sleeper(): Promise<{ woken: Promise<unknown>; close: () => Promise<void> }> {
    const other = new Worker(this.raw.name, null, { connection: this.redis, autorun: false })
    await other.waitUntilReady()
    return { woken: other.getBackend().waitForJob(5), close: () => other.close(true) }
  }
}

export function idsOf({ jobs }: Claim): string[] {
  return jobs.map(({ id }) => id).sort()
}
