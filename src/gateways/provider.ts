import { errorCode } from '../observe/events.ts'
import type { Verdict } from '../order/payment-gateway.ts'
import { type Answer, blamesCall, type Call, Origin, retryAfterMs } from '../runtime/origin.ts'
import { lookUpPrivate } from '../runtime/public-addresses.ts'
import type { GatewayOptions } from './gateway-options.ts'

const CONNECTIONS = 64
/** From waiting for a connection to the end of the answer. */
export const ANSWER_TIMEOUT_MS = 10_000
/** Of an answer. A combined order of 50 has some 30,000. */
const MOST_ANSWER_BYTES = 262_144
const MOST_DETAIL_LENGTH = 200

export type Unknown = Extract<Verdict, { kind: 'unknown' }>

/** A provider's server, or what stands in front of it. */
export class Provider {
  readonly #origin: Origin
  readonly #options: GatewayOptions

  /** Connects with the first call; by plain http:// only to where a name leads into a private network. */
  constructor(url: URL, options: GatewayOptions) {
    const lookup = url.protocol === 'http:' ? lookUpPrivate : undefined
    this.#origin = new Origin({ url, connections: CONNECTIONS, lookup, clock: options.clock })
    this.#options = options
  }

  /** The answer, whatever its status. Rejects with a `code` if it is not there, whole, after {@link ANSWER_TIMEOUT_MS}. */
  call(call: Call): Promise<Answer> {
    return this.#origin.call(call, { ms: ANSWER_TIMEOUT_MS, mostBytes: MOST_ANSWER_BYTES })
  }

  /** The same, as a value where there is no answer. Never rejects. */
  async ask(call: Call): Promise<Answer | Unknown> {
    const headers = {
      accept: 'application/json',
      'user-agent': `order-expiry/${this.#options.version}`,
      ...call.headers,
    }
    try {
      return await this.call({ ...call, headers })
    } catch (error) {
      return { kind: 'unknown', detail: `no answer (${errorCode(error as Error)})` }
    }
  }

  /** What follows from an answer with the status of an error, or of none that this provider has. */
  unknown({ status, headers }: Pick<Answer, 'status' | 'headers'>, code?: string): Unknown {
    const detail = shorten(code ? `answered ${status} (${code})` : `answered ${status}`)
    const retry = retryAfterMs(headers, this.#options.clock.now())
    return { kind: 'unknown', isThere: blamesCall(status), retryAfterMs: retry, detail }
  }

  close(): Promise<void> {
    return this.#origin.close()
  }
}

/** A text of a provider's, as long as people read it. */
export function shorten(text: string): string {
  return text.length > MOST_DETAIL_LENGTH ? `${text.slice(0, MOST_DETAIL_LENGTH - 1)}…` : text
}
