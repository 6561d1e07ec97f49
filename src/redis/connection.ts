import { once } from 'node:events'
import { isNativeError } from 'node:util/types'
import { Redis } from 'ioredis'
import { OrderExpiryError } from '../errors.ts'
import { tlsTrouble } from '../runtime/certificates.ts'
import { systemClock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { RedisAddress, RedisNames, RedisProfile } from './address.ts'
import { describeRedisAddress, parseRedisAddress, REDIS_SETTINGS } from './address.ts'
import { describeRefusal } from './refusal.ts'
import { isRedisRejection, redisErrorCode } from './reply.ts'
import { readTlsAlert } from './tls-alert.ts'

const SELECT_MS = 5_000

/** A connection that reports its errors to `onError` instead of ending the process. Connects with its first command. */
export function openRedis(options: { profile: RedisProfile; onError?: (error: Error) => void }): Redis {
  return new Redis(options.profile).on('error', options.onError ?? (() => {}))
}

/** A connection that knows why it is not there. */
export class Connection {
  readonly redis: Redis
  readonly #address: RedisAddress
  readonly #names: RedisNames
  #lastError: Error | undefined
  #wasReady = false
  #ready: Promise<void> | undefined
  #reading: Promise<void> | undefined

  /** @param options.names of what would help, for the texts of errors; default: the daemon's settings */
  constructor(options: { address: RedisAddress; profile: RedisProfile; names?: RedisNames }) {
    const { address, profile, names = REDIS_SETTINGS } = options
    this.#address = address
    this.#names = names
    this.redis = new Redis(profile)
    this.redis.on('error', (error) => {
      this.#lastError = error
      if (profile.tls && !profile.sentinels && isReset(error)) this.#reading ??= this.#readAlert(profile)
    })
    this.redis.on('ready', () => {
      this.#wasReady = true
      this.#lastError = undefined
    })
  }

  /** Resolves when commands can be sent. Callers share one wait, so that an outage does not pile them up. */
  async untilReady(): Promise<void> {
    if (this.redis.status === 'ready') return
    this.#ready ??= this.#connect().finally(() => {
      this.#ready = undefined
    })
    try {
      await this.#ready
    } catch (error) {
      await this.#reading
      throw error
    }
  }

  /** What a server that has hung up on us has to say: it may have refused our certificate. */
  async #readAlert(profile: RedisProfile): Promise<void> {
    const alert = await readTlsAlert(profile)
    if (alert && isReset(this.#lastError)) this.#lastError = alert
    this.#reading = undefined
  }

  async #connect(): Promise<void> {
    if (this.redis.status === 'wait') await this.redis.connect()
    else await once(this.redis, 'ready') // rejects with the first error
    await this.selectDatabase()
  }

  /** Rejects if the database of the address does not exist; ioredis only reports that, and goes on with number 0. */
  async selectDatabase(): Promise<void> {
    const { db } = this.redis.options
    if (!db) return
    // Sent anew or lost with a connection, it may never be answered.
    await withTimeout({ work: this.redis.select(db), ms: SELECT_MS, clock: systemClock })
  }

  /** Runs `work`; its errors are told in our own words. */
  ask<T>(work: () => Promise<T>): Promise<T> {
    return work().catch(async (error) => {
      await this.#reading
      throw this.explain(error)
    })
  }

  /** What went wrong, in our own words; where ioredis only says that the connection is closed, why it is. */
  explain(error: unknown): OrderExpiryError {
    const known = redisErrorCode(error) ? error : (this.#lastError ?? error)
    // Whoever has never said anything may not understand us.
    const isSilent = !this.#wasReady && known instanceof Error && /^(Command timed out|no answer)/.test(known.message)
    const told = isSilent ? Object.assign(known, { code: 'ETIMEDOUT' }) : known
    return asRedisError(told, this.#address, this.#names)
  }

  close(): void {
    this.redis.disconnect()
  }
}

/** An error of a Redis command in our own words. */
export function asRedisError(error: unknown, address: RedisAddress, names = REDIS_SETTINGS): OrderExpiryError {
  if (error instanceof OrderExpiryError) return error
  const where = describeRedisAddress(address)
  const why = isNativeError(error) ? error.message || error.name : String(error)
  if (isRedisRejection(error)) {
    const message = `Redis at ${where} refuses ${describeRefusal(error as Error)}`
    return new OrderExpiryError('REDIS_REFUSED', message, { cause: error })
  }
  const trouble = tlsTrouble(error, names)
  if (trouble) {
    const message = `Redis at ${where} cannot be used: ${trouble.what}; ${trouble.remedy}`
    return new OrderExpiryError('REDIS_REFUSED', message, { cause: error })
  }
  const message = `Redis at ${where} cannot be used now (${why})${tlsDoubt(error, address, names)}; try again`
  return new OrderExpiryError('REDIS_UNAVAILABLE', message, { cause: error })
}

/** What else may be the reason: a server tells nothing to whom it does not understand. */
export function tlsDoubt(error: unknown, address: RedisAddress, names = REDIS_SETTINGS): string {
  const { path, tls } = parseRedisAddress(address)
  if (path) return ''
  if (!tls) return isReset(error) ? `; if it expects TLS, ${names.withTls}` : ''
  if (isReset(error)) {
    return `; if it asks for a certificate, set ${names.cert} and ${names.key}; if it does not speak TLS, ${names.withoutTls}`
  }
  const isSilent = (error as NodeJS.ErrnoException)?.code === 'ETIMEDOUT'
  return isSilent ? `; if it does not speak TLS on this port, ${names.withoutTls}, or another port` : ''
}

/** The other side has hung up without a word. */
function isReset(error: unknown): boolean {
  return /^(ECONNRESET|EPIPE)$/.test(String((error as NodeJS.ErrnoException)?.code))
}
