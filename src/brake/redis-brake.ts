import type { Redis } from 'ioredis'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import { type BrakeReply, SCRIPTS, type StoredState, WINDOW_S } from './scripts.ts'
import type { BrakeReason, BrakeStatus, Grant, SharedBrake } from './shared-brake.ts'

/**
 * The state of the brake in Redis, for all processes and the command line. Commands of its connection must time out.
 *
 * A Redis that has lost its data, or has fallen back to older data, neither releases the brake nor begins a new minute:
 * - `changed` grows with every decision. A script is told the newest state of the process, and writes it over an older one.
 * - Each process remembers what was granted to it in the last minute, and adds it again if the newest grant is gone.
 */
export class RedisBrake implements SharedBrake {
  readonly #redis: Redis
  readonly #keys: QueueKeys
  #state: StoredState | undefined
  /** What was granted to this process within the last minute, oldest first. */
  readonly #grants: { id: string; second: number; used: number }[] = []

  constructor(options: { redis: Redis; queue: NamedQueue }) {
    this.#redis = options.redis
    this.#keys = options.queue.keys
  }

  async status(): Promise<BrakeStatus> {
    return statusOf(await this.#run('status', {}))
  }

  async reserve(id: string, count: number, limit: number): Promise<Grant> {
    const reply = await this.#run('reserve', { id, count, limit })
    const { granted = 0, is_counted: isCounted, second } = reply
    if (isCounted) this.#grants.push({ id, second, used: granted })
    return { granted, status: statusOf(reply) }
  }

  async use(id: string, used: number): Promise<void> {
    const grant = this.#grants.findLast((one) => one.id === id)
    if (grant) grant.used = Math.min(grant.used, used)
    await this.#run('use', { id, used })
  }

  async countUsed(): Promise<number> {
    return (await this.#run('countUsed', {})).used ?? 0
  }

  async engage(reason: BrakeReason, by: string): Promise<BrakeStatus> {
    return statusOf(await this.#run('engage', { reason, by }))
  }

  /** Releases it. It does not engage by itself for `suspendMs`. */
  async release(by: string, suspendMs: number): Promise<BrakeStatus> {
    return statusOf(await this.#run('release', { by, suspend_ms: suspendMs }))
  }

  async #run(script: keyof typeof SCRIPTS, asked: object): Promise<BrakeReply> {
    const reply = await this.#eval(script, asked)
    return reply.is_lost ? this.#eval(script, asked, this.#grants) : reply
  }

  async #eval(script: keyof typeof SCRIPTS, asked: object, grants?: readonly object[]): Promise<BrakeReply> {
    const { brake, brakeCancelled, brakeReserved } = this.#keys
    const known = JSON.stringify({ state: this.#state, newest: this.#grants.at(-1), grants })
    const keysAndArgs = [brake, brakeCancelled, brakeReserved, known, JSON.stringify(asked)]
    const reply = JSON.parse((await this.#redis.eval(SCRIPTS[script], 3, ...keysAndArgs)) as string) as BrakeReply
    const { state, second } = reply
    // Concurrent requests carry the state known when they were sent.
    if (Number(state.changed) < Number(this.#state?.changed ?? 0)) {
      throw new Error('Redis has fallen back to an older state')
    }
    this.#state = state
    const releasedIn = state.engaged === '1' ? 0 : Math.floor(Number(state.since) / 1_000)
    const forgotten = Math.max(second - WINDOW_S - 1, releasedIn)
    while (this.#grants[0] && this.#grants[0].second <= forgotten) this.#grants.shift()
    return reply
  }
}

/** The state as Redis has it. Writes nothing, unlike the scripts. */
export async function peekBrake({
  redis,
  keys,
}: {
  redis: Redis
  keys: QueueKeys
}): Promise<Omit<BrakeStatus, 'lastMinute'>> {
  return stateOf(await redis.hgetall(keys.brake))
}

function statusOf({ state, last_minute: lastMinute }: BrakeReply): BrakeStatus {
  return { ...stateOf(state), lastMinute }
}

function stateOf({ engaged, reason, by, since, suspended_until: suspendedUntil }: Partial<StoredState>) {
  return {
    engaged: engaged === '1',
    ...(reason && { reason: reason as BrakeReason }),
    ...(by && { by }),
    ...(since && { since: Number(since) }),
    ...(suspendedUntil && { suspendedUntil: Number(suspendedUntil) }),
  }
}
