import { JOB_NAME } from '../../src/queue/contract.ts'
import { optionsOf } from '../../src/queue/worker/claimed-job.ts'
import type { Claim, ClaimedJob, Claims } from '../../src/queue/worker/claims.ts'
import { openClaims } from '../../src/queue/worker/open-claims.ts'
import { createPreparation } from '../../src/queue/worker/preparation.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { type Edit, editedClient, timeFrom } from './edited-client.ts'
import { type Held, LOCK_MS, type PutBack, type Refused, Side, STALLED_CHECK_MS } from './side.ts'

/** Fields of a job that a worker needs not know of. */
const PLAIN_FIELDS = new Set(['name', 'data', 'opts', 'timestamp', 'delay', 'priority', 'processedOn', 'ats'])

/** Jobs are taken and ended by claims. */
export class ClaimsSide extends Side {
  readonly called: string
  readonly #kind: 'auto' | 'wrapped'
  readonly #edit: Edit
  protected override readonly tellsTwice = true
  #claims!: Claims
  readonly #prepare = createPreparation(this.worker)

  /** @param edit of the scripts, beside that of the time */
  constructor({ kind, edit = (lua) => lua }: { kind: 'auto' | 'wrapped'; edit?: Edit }) {
    super()
    this.called = kind === 'auto' ? 'batch claims' : 'wrapped claims'
    this.#kind = kind
    this.#edit = edit
  }

  async open(): Promise<void> {
    const byTime = timeFrom(`now:${this.name}`)
    const client = editedClient(await this.worker.getBackend().client, (lua, name) =>
      this.#edit(byTime(lua, name), name),
    )
    const queue = namedQueue({ name: this.name })
    const opened = openClaims({ client, queue, workerId: 'worker', lockMs: LOCK_MS, kind: this.#kind })
    if (opened.unknown.length > 0) throw new Error(`BullMQ has other scripts: ${opened.unknown}`)
    this.#claims = opened.claims
  }

  override async take(...args: Parameters<Side['take']>): Promise<string> {
    await this.redis.set(`now:${this.name}`, Date.now(), 'EX', 600)
    return super.take(...args)
  }

  /** As the pump does: claims again at once where there may be more. */
  protected async takeJobs(token: string, most: number): Promise<Held[]> {
    const held: Held[] = []
    for (let claims = 0; held.length < most; claims++) {
      const left = most - held.length
      const ofClaim = claims === 0 ? token : `${token}+${claims}`
      const claim = await this.#claims.claim({ token: ofClaim, most: left, mostLast: left })
      await this.#checkAnswer(claim)
      for (const job of claim.jobs) await this.#prepare(job)?.catch(() => {}) // as the pump does
      held.push(...claim.jobs.map((job) => heldOf(job, ofClaim)))
      const { nextAt, isHeld, limitedMs } = claim
      this.known = { since: Date.now(), at: Math.max(nextAt, Date.now()), isToldLater: isHeld || limitedMs > 0 }
      if (nextAt > 0 || limitedMs > 0) break
    }
    return held
  }

  /** A claim tells what is on its jobs, or that it is nothing unusual. */
  async #checkAnswer({ jobs, strangers }: Claim): Promise<void> {
    if (strangers.length > 0) throw new Error(`taken for strangers: ${strangers}`)
    for (const { id, data, opts, timestamp, fields } of jobs) {
      const kept = await this.redis.hgetall(this.key(id))
      const { processedOn } = kept
      if (Number(processedOn) !== Date.now()) throw new Error(`${id} was processed on ${processedOn}`)
      const isTold = fields
        ? JSON.stringify(Object.entries(fields).sort()) === JSON.stringify(Object.entries(kept).sort())
        : kept.name === JOB_NAME && kept.ats === '1' && Object.keys(kept).every((field) => PLAIN_FIELDS.has(field))
      const isSame = data === kept.data && (opts ?? '') === (kept.opts ?? '') && timestamp === kept.timestamp
      if (!isTold || !isSame) throw new Error(`told of ${id} that it has ${JSON.stringify(fields ?? { data, opts })}`)
    }
  }

  protected async completeJobs(jobs: readonly Held[], token: string, value: unknown): Promise<Refused[]> {
    const returnvalue = JSON.stringify(value)
    return this.#claims.complete(
      token,
      jobs.map(({ id, failed }) => ({ id, returnvalue, attemptsMade: failed + 1 })),
    )
  }

  protected failJob({ id, attempts, opts }: Held, token: string, failedReason: string): Promise<Refused[]> {
    return this.#claims.fail(token, { id, failedReason, stacktrace: '["at"]', attempts, opts })
  }

  protected async putJobsBack(jobs: readonly Held[], token: string, how: PutBack) {
    const { delay, priority, note, failedReason } = how
    const dueAt = Date.now() + delay
    const failure = failedReason === undefined ? {} : { failedReason }
    return this.#claims.putBack(
      token,
      jobs.map(({ id, data }) => ({ id, dueAt, priority, data, note, ...failure })),
    )
  }

  protected async lookForStalled(): Promise<void> {
    await this.#claims.putStalledBack({ everyMs: STALLED_CHECK_MS })
  }
}

function heldOf(job: ClaimedJob, token: string): Held {
  const { id, data = '', fields = {} } = job
  const opts = optionsOf(job)
  return { id, token, data, failed: Number(fields.atm ?? 0), attempts: Number(opts.attempts ?? 0), opts }
}
