import { FlowProducer, Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { JOB_NAME } from '../../src/queue/contract.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { ALL, HOUR_MS, LIMIT_MS, type Step } from './program.ts'
import { type Snapshot, snapshotOf } from './snapshot.ts'

/** A job as it was taken. */
export interface Held {
  id: string
  token: string
  data: string
  failed: number
  attempts: number
  /** As on the job; {} where they cannot be read. */
  opts: Readonly<Record<string, unknown>>
}

/** A job that could not be ended, and BullMQ's code. */
export type Refused = readonly [id: string, code: number]

export interface PutBack {
  delay: number
  priority: number
  note: string
  failedReason: string | undefined
}

/** When whoever has taken jobs looks again, by itself. */
export interface Known {
  /** When it has looked last, in epoch milliseconds. */
  since: number
  /** Epoch milliseconds. */
  at: number
  /** Others have to end first, or a rate limit has. */
  isToldLater: boolean
}

const NOTHING: Known = { since: 0, at: Number.POSITIVE_INFINITY, isToldLater: false }

export const LOCK_MS = 15_000
export const STALLED_CHECK_MS = 30_000

/** A queue on which a program runs. Sides differ in who takes jobs and ends them; all else is BullMQ's. */
export abstract class Side {
  abstract readonly called: string
  readonly name = uniqueName('queue')
  protected readonly redis = new Redis(redisUrl(), { maxRetriesPerRequest: null })
  readonly #queue = new Queue(this.name, { connection: this.redis })
  readonly #flows = new FlowProducer({ connection: this.redis })
  protected readonly worker = new Worker(this.name, null, {
    connection: this.redis,
    autorun: false,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: 1_000_000,
  })
  #held: Held[] = []
  /** Jobs whose hash was lost. Added again, an id would be in the queue twice: BullMQ then starts a job that is active. */
  readonly #lost = new Set<string>()
  known: Known = NOTHING

  abstract open(): Promise<void>

  protected abstract takeJobs(token: string, most: number): Promise<Held[]>
  protected abstract completeJobs(jobs: readonly Held[], token: string, value: unknown): Promise<Refused[]>
  protected abstract failJob(job: Held, token: string, reason: string): Promise<Refused[]>
  protected abstract putJobsBack(
    jobs: readonly Held[],
    token: string,
    how: PutBack,
  ): Promise<{ refused: Refused[]; changed: [id: string, data: string][] }>
  protected abstract lookForStalled(): Promise<void>
  /** Whether the same is told again where a program says so: an answer may be lost. */
  protected readonly tellsTwice: boolean = false

  async begin(): Promise<void> {
    const keys = await this.redis.keys(`bull:${this.name}*`)
    if (keys.length > 0) await this.redis.del(...keys)
    this.#held = []
    this.#lost.clear()
    this.known = NOTHING
  }

  async close(): Promise<void> {
    await this.begin()
    await this.worker.close()
    await this.#flows.close()
    await this.#queue.close()
    this.redis.disconnect()
  }

  /** @returns what the step has told whoever took it; its number makes tokens, values and notes */
  async take(step: Step, number: number): Promise<string> {
    try {
      return JSON.stringify((await this.#take(step, number)) ?? 'done').replaceAll(this.name, 'Q')
    } catch (error) {
      return `${error}`.replaceAll(this.name, 'Q')
    }
  }

  snapshot(): Promise<Snapshot> {
    return snapshotOf(this.redis, this.name)
  }

  key(end: string): string {
    return `bull:${this.name}:${end}`
  }

  async #take(step: Step, number: number): Promise<unknown> {
    switch (step.kind) {
      case 'add': {
        const { id, name, deduplication, keepLogs, ends, ...opts } = step
        if (this.#lost.has(id ?? '')) return undefined
        const { kind: _, ...usual } = opts
        const added = await this.#queue.add(
          name,
          { number },
          {
            ...usual,
            ...ends,
            ...(id !== undefined && { jobId: id }),
            ...(keepLogs !== undefined && { keepLogs }),
            ...(deduplication && { deduplication }),
          },
        )
        return added.id
      }
      case 'add flow':
        return this.#addFlow(step, number)
      case 'schedule':
        return (await this.#queue.upsertJobScheduler('s', { every: HOUR_MS }, { name: step.name, data: { number } })).id
      case 'unschedule':
        return this.#queue.removeJobScheduler('s')
      case 'pass':
      case 'pass an hour':
        return undefined
      case 'take':
        return this.#takeJobs(`token-${number}`, step.most)
      case 'complete':
        return this.#end(step, (jobs, token) => this.completeJobs(jobs, token, { number }))
      case 'fail':
        return this.#end(step, async (jobs, token) => {
          const refused: Refused[] = []
          for (const job of jobs) refused.push(...(await this.failJob(job, token, `reason ${number}`)))
          return refused
        })
      case 'put back': {
        const { delay, priority, hasFailed } = step
        const failedReason = hasFailed ? `reason ${number}` : undefined
        const how = { delay, priority, note: `note ${number}`, failedReason }
        return this.#end(step, async (jobs, token) => {
          const { refused, changed } = await this.putJobsBack(jobs, token, how)
          const kept = changed.map(([id, data]) => ({ ...(jobs.find((one) => one.id === id) as Held), data }))
          this.#held = [...this.#held.filter(({ id }) => !changed.some(([other]) => other === id)), ...kept]
          return refused
        })
      }
      case 'lose locks': {
        for (const { id } of this.#chosen(step.which)) await this.redis.del(this.key(`${id}:lock`))
        return undefined
      }
      case 'look for stalled jobs':
        await this.redis.del(this.key('stalled-check'))
        return this.lookForStalled()
      case 'promote':
        return (await this.#queue.getJob(step.id))?.promote()
      case 'remove':
        return this.#queue.remove(step.id)
      case 'retry':
        return (await this.#queue.getJob(step.id))?.retry((await this.#queue.getJobState(step.id)) as 'failed')
      case 'lose hash':
        this.#lost.add(step.id)
        return this.redis.del(this.key(step.id))
      case 'break data':
        return (await this.redis.exists(this.key(step.id))) && this.redis.hset(this.key(step.id), 'data', '{oops')
      case 'change delay':
        return (await this.#queue.getJob(step.id))?.changeDelay(step.delay)
      case 'change priority':
        return (await this.#queue.getJob(step.id))?.changePriority({ priority: step.priority, lifo: step.lifo })
      case 'change data':
        return (await this.#queue.getJob(step.id))?.updateData({ changed: number })
      case 'pause':
        return this.#queue.pause()
      case 'resume':
        return this.#queue.resume()
      case 'drain':
        return this.#queue.drain()
      case 'limit concurrency':
        // BullMQ wakes nobody for it either: whoever sleeps learns of it when it looks next.
        this.known = { ...this.known, isToldLater: true }
        if (step.to === undefined) return this.#queue.removeGlobalConcurrency()
        return this.#queue.setGlobalConcurrency(step.to)
      case 'limit rate':
        if (step.to === undefined) return this.#queue.removeGlobalRateLimit()
        return this.#queue.setGlobalRateLimit(step.to, LIMIT_MS)
      case 'rate limit is over':
        return this.redis.del(this.key('limiter'))
    }
  }

  async #addFlow(step: Step & { kind: 'add flow' }, number: number): Promise<void> {
    const { parent, children, isElsewhere, onFailure } = step
    if ([parent, ...children].some((id) => this.#lost.has(id))) return
    const of = (jobId: string) => ({ name: JOB_NAME, queueName: this.name, data: { number }, opts: { jobId } })
    const opts = (jobId: string) => ({ jobId, ...(onFailure && { [onFailure]: true }) })
    await this.#flows.add({
      ...of(parent),
      ...(isElsewhere && { queueName: `${this.name}-elsewhere` }),
      children: children
        .filter((child) => isElsewhere || child !== parent)
        .map((child) => ({ ...of(child), opts: opts(child) })),
    })
  }

  /** Whoever slept has been woken, and no marker is left for others. */
  async #takeJobs(token: string, most: number): Promise<string[]> {
    await this.redis.del(this.key('marker'))
    const taken = await this.takeJobs(token, most)
    const active = await this.redis.lrange(this.key('active'), 0, -1)
    // A claim tells of plain jobs before others; in which order they were taken is seen here.
    const held = taken.toSorted((a, b) => active.indexOf(b.id) - active.indexOf(a.id))
    this.#held.push(...held)
    const [isPaused, ...limits] = await this.redis.hmget(this.key('meta'), 'paused', 'concurrency', 'max')
    if (most < ALL || limits.some((limit) => limit !== null)) {
      await this.redis.hset(this.key('meta'), 'paused', 1)
      await this.#promoteRest()
      if (!isPaused) await this.redis.hdel(this.key('meta'), 'paused')
    }
    return held.map(({ id }) => id)
  }

  /**
   * BullMQ promotes all that is due when it takes one job, ours no more than it may take; so what has been left is promoted now. A
   * queue that is paused gives no job.
   */
  async #promoteRest(): Promise<void> {
    await this.worker.getBackend().moveToActive('nobody')
  }

  /** Ends of jobs with each of the tokens with which they were taken, or with another one. */
  async #end(
    step: Step & { kind: 'complete' | 'fail' | 'put back' },
    end: (jobs: readonly Held[], token: string) => Promise<Refused[]>,
  ): Promise<Refused[]> {
    const chosen = this.#chosen(step.which)
    if (step.holder === 'own') this.#held = this.#held.filter((job) => !chosen.includes(job))
    const tokenOf = ({ token }: Held) => (step.holder === 'own' ? token : 'foreign')
    const refused: Refused[] = []
    for (const token of new Set(chosen.map(tokenOf))) {
      const jobs = chosen.filter((job) => tokenOf(job) === token)
      const first = await end(jobs, token)
      refused.push(...(await this.#byLock(first, token)))
      if (!(this.tellsTwice && 'isTwice' in step && step.isTwice)) continue
      const ended = jobs.filter(({ id }) => !first.some(([other]) => other === id))
      const again = ended.length > 0 ? await end(ended, token) : []
      if (again.length > 0) throw new Error(`told again, refused ${again}`)
    }
    return refused.toSorted(([a], [b]) => (a < b ? -1 : 1))
  }

  /** BullMQ looks for children before it looks at the lock, ours at the lock first: whoever has lost that is refused either way. */
  async #byLock(refused: readonly Refused[], token: string): Promise<Refused[]> {
    const seen = refused.map(async ([id, code]): Promise<Refused[]> => {
      const holder = await this.redis.get(this.key(`${id}:lock`))
      if ((code !== -4 && code !== -9) || holder === token) return [[id, code]]
      const isCompleted = (await this.redis.zscore(this.key('completed'), id)) !== null
      return isCompleted ? [] : [[id, holder === null ? -2 : -6]]
    })
    return (await Promise.all(seen)).flat()
  }

  #chosen(which: number): Held[] {
    return this.#held.filter((_, n) => (which >> (n % 10)) & 1)
  }
}
