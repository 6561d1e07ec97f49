import { OrderExpiryError } from '../errors.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import { redisErrorCode } from '../redis/reply.ts'
import { readJson } from '../runtime/json.ts'
import { type BrakeReply, PEEK, SCRIPTS, type StoredState, WINDOW_S } from './scripts.ts'
import type { BrakeReason, BrakeStatus, Grant, SharedBrake } from './shared-brake.ts'

type BrakeConnection = Pick<Connection, 'redis' | 'explain'>

/**
 * The state of the brake in Redis, for all processes and the command line. Commands of its connection must time out.
 *
 * A Redis that has lost its data, or has fallen back to older data, neither releases the brake nor begins a new minute:
 * - `changed` grows with every decision. A script is told the newest state of the process, and writes it over an older one.
 * - Each process remembers what was granted to it in the last minute, and adds it again if the newest grant is gone.
 */
export class RedisBrake implements SharedBrake {
  readonly #connection: BrakeConnection
  readonly #keys: QueueKeys
  #state: StoredState | undefined
  /** What was granted to this process within the last minute, oldest first. */
  readonly #grants: { id: string; second: number; used: number }[] = []

  constructor(options: { connection: BrakeConnection; queue: NamedQueue }) {
    this.#connection = options.connection
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

  /** @param words what others are told of a reason that is `manual` */
  async engage(reason: BrakeReason, by: string, words: string = reason): Promise<BrakeStatus> {
    return statusOf(await this.#run('engage', { reason: words, by, is_manual: reason === 'manual' }))
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
    const known = JSON.stringify({ state: this.#state, newest: this.#grants.at(-1), grants })
    const reply = await this.#ask(SCRIPTS[script], [known, JSON.stringify(asked)])
    const { state, second } = reply
    // Concurrent requests carry the state known when they were sent.
    if (Number(state.changed) < Number(this.#state?.changed ?? 0)) {
      throw new OrderExpiryError('REDIS_UNAVAILABLE', 'Redis has fallen back to an older state')
    }
    this.#state = state
    const releasedIn = state.engaged === '1' ? 0 : Math.floor(Number(state.since) / 1_000)
    const forgotten = Math.max(second - WINDOW_S - 1, releasedIn)
    while (this.#grants[0] && this.#grants[0].second <= forgotten) this.#grants.shift()
    return reply
  }

  async #ask(script: string, args: readonly string[]): Promise<BrakeReply> {
    const keys = this.#keys
    try {
      const reply = readJson(await evaluate({ ...this.#connection, keys, script, args }))
      if (!isReply(reply)) throw malformed()
      return reply
    } catch (error) {
      throw explainRefusal({ error, connection: this.#connection, keys })
    }
  }
}

/**
 * The state as Redis has it. Writes nothing, unlike the scripts, but fails where they would.
 *
 * @throws {OrderExpiryError} REDIS_UNAVAILABLE; REDIS_REFUSED where Redis answers, but not with a state
 */
export async function peekBrake(options: {
  connection: BrakeConnection
  keys: QueueKeys
}): Promise<Omit<BrakeStatus, 'lastMinute'>> {
  const { connection, keys } = options
  try {
    const flat = (await evaluate({ redis: connection.redis, keys, script: PEEK, args: [] })) as string[]
    const state: Record<string, string> = {}
    for (let n = 0; n < flat.length; n += 2) state[flat[n] as string] = flat[n + 1] as string
    if (flat.length > 0 && !isState(state)) throw malformed()
    return stateOf(state)
  } catch (error) {
    throw connection.explain(error)
  }
}

function evaluate(call: {
  redis: Connection['redis']
  keys: QueueKeys
  script: string
  args: readonly string[]
}): Promise<unknown> {
  const { brake, brakeCancelled, brakeReserved } = call.keys
  return call.redis.eval(call.script, 3, brake, brakeCancelled, brakeReserved, ...call.args)
}

/** Somebody else may have written the key: what cannot be read must not pass for a brake that is released. */
function isReply(reply: unknown): reply is BrakeReply {
  const { second, state } = (reply ?? {}) as Partial<BrakeReply>
  return Number.isFinite(second) && isState(state)
}

function isState(state: Partial<StoredState> | undefined): state is StoredState {
  const { engaged, changed } = state ?? {}
  return (engaged === '0' || engaged === '1') && /^\d+$/.test(changed ?? '')
}

function malformed(): OrderExpiryError {
  return new OrderExpiryError('REDIS_REFUSED', 'Redis has something else in the place of the state of the brake')
}

/** Redis' error in our own words, with what lets the brake be read. */
function explainRefusal(options: { error: unknown; connection: BrakeConnection; keys: QueueKeys }): OrderExpiryError {
  const { error, connection, keys } = options
  const explained = connection.explain(error)
  if (explained.code !== 'REDIS_REFUSED') return explained
  const repair = repairOf({ error, keys }).map((line) => line.replace(/^# /, ''))
  if (repair.length === 0) return explained
  const message = `${explained.message}; ${repair.join(' ')}`
  return new OrderExpiryError('REDIS_REFUSED', message, { cause: explained.cause })
}

/**
 * What lets the brake be read, one command or remark per line. Nothing where its keys are not to blame, but the address, the
 * password or the nodes of Redis.
 *
 * @param options.error or its cause: what Redis answered; undefined: what is no state
 */
export function repairOf({ error, keys }: { error: unknown; keys: QueueKeys }): string[] {
  const code = redisErrorCode(error)
  if (code === 'NOPERM') {
    return ['# let the user use the keys of the brake, and a command where Redis names one:', permissionOf(keys)]
  }
  const engage = 'order-expiry brake engage'
  if (error === undefined || error instanceof OrderExpiryError) return ['# write it anew:', engage]
  const isOfKeys = code === 'WRONGTYPE' || (code === 'ERR' && /script/.test(String(error)))
  const look = `# look at the keys ${keys.brake}*: delete what is not of the type that docs/brake.md says, then`
  return isOfKeys ? [look, engage] : []
}

function permissionOf({ own }: QueueKeys): string {
  return `ACL SETUSER <user> ~${own}* +eval`
}

function statusOf({ state, last_minute: lastMinute }: BrakeReply): BrakeStatus {
  return { ...stateOf(state), lastMinute }
}

function stateOf({ engaged, reason, by, since, suspended_until: suspendedUntil }: Partial<StoredState>) {
  return {
    engaged: engaged === '1',
    ...(reason && { reason }),
    ...(by && { by }),
    ...(since && { since: Number(since) }),
    ...(suspendedUntil && { suspendedUntil: Number(suspendedUntil) }),
  }
}
