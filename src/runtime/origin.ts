import type { IncomingHttpHeaders } from 'node:http'
import type { LookupFunction } from 'node:net'
import { buildConnector, type Dispatcher, Pool } from 'undici'
import type { Clock } from './clock.ts'
import { withTimeout } from './timeout.ts'

const CONNECT_TIMEOUT_MS = 5_000

export interface Call {
  method: 'GET' | 'POST'
  /** With the query. */
  path: string
  headers: Record<string, string>
  body?: string
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

interface OriginOptions {
  /** Of which only the origin counts. */
  url: URL
  /** At once; further calls wait for one, within their own time. */
  connections: number
  /** Which addresses a host may have. Default: any */
  lookup?: LookupFunction | undefined
  clock: Clock
}

/** The connections to one server by HTTP. Redirects are not followed: they would lead where nobody has said that calls may go. */
export class Origin {
  readonly #pool: Pool
  readonly #clock: Clock

  /** Connects with the first call. */
  constructor({ url, connections, lookup, clock }: OriginOptions) {
    this.#clock = clock
    const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, ...(lookup && { lookup }) })
    this.#pool = new Pool(url.origin, { connections, connect })
  }

  /** The head of the answer, with its body still to come. Rejects with a `code`, ETIMEDOUT after `ms`. */
  head(call: Call, ms: number): Promise<Dispatcher.ResponseData> {
    return this.#within(ms, (signal) => this.#pool.request({ ...call, signal }))
  }

  /** The answer, whole. Rejects with a `code`: ETIMEDOUT if it is not there after `ms`, EMSGSIZE if it is longer than `mostBytes`. */
  call(call: Call, { ms, mostBytes }: { ms: number; mostBytes: number }): Promise<Answer> {
    return this.#within(ms, async (signal) => {
      const { statusCode: status, headers, body } = await this.#pool.request({ ...call, signal })
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of body as AsyncIterable<Buffer>) {
        bytes += chunk.length
        if (bytes > mostBytes) throw withCode('EMSGSIZE', `answer of more than ${mostBytes} bytes`)
        chunks.push(chunk)
      }
      return { status, headers, text: Buffer.concat(chunks).toString() }
    })
  }

  /** Ends the calls under way. */
  close(): Promise<void> {
    return this.#pool.destroy()
  }

  /** What fails or takes too long is aborted, so that it does not keep its connection. */
  async #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ending = new AbortController()
    const onTimeout = () => withCode('ETIMEDOUT', 'no answer')
    try {
      return await withTimeout({ work: work(ending.signal), ms, clock: this.#clock, onTimeout })
    } catch (error) {
      ending.abort()
      throw error
    }
  }
}

/** When an answer asks for the next call: seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
export function retryAfterMs(headers: IncomingHttpHeaders, now: number): number | undefined {
  const text = String(headers['retry-after'] ?? '')
  if (text === '') return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now
  return ms > 0 ? ms : undefined
}

/** Whether a status of an error blames what was sent, and not the server, our access to it, or how often it was asked. */
export function blamesCall(status: number): boolean {
  return status >= 400 && status < 500 && ![401, 403, 408, 429].includes(status)
}

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}
