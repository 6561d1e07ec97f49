import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Closing, Payment } from '../../src/order/payment-gateway.ts'

/**
 * How an answer goes wrong.
 *
 * - before it acts: `silent`, `busy` (429), `unavailable` (503), `redirect`, `nonsense`, `endless`
 * - after it has acted: `slow` (until it is released), `truncated`, `lost`, `twice`
 */
export const TROUBLES = [
  'silent',
  'busy',
  'unavailable',
  'redirect',
  'nonsense',
  'endless',
  'slow',
  'truncated',
  'lost',
  'twice',
] as const
export type Trouble = (typeof TROUBLES)[number]

export interface Asked {
  method: string
  /** With the query. */
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Said {
  status: number
  headers?: Record<string, string>
  body: string
}

/** A payment provider on loopback, until it is stopped. What it makes of a request is up to its kind. */
export abstract class ProviderServer {
  readonly asked: Asked[] = []
  /** Of the next answers, the first one first; undefined: none. */
  readonly troubles: (Trouble | undefined)[] = []
  /** Lets a slow answer go. */
  readonly held: (() => void)[] = []
  /** The payments that were closed here, once for each time. */
  readonly closed: string[] = []
  url = ''
  readonly #server = createServer((request, response) => void this.#take(request, response))

  /** Acts, and says what an answer says. Throws what was not as the provider wants it. */
  protected abstract act(asked: Asked): Said

  protected async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', url: path = '', headers } = request
    const asked = { method, path, headers, body: Buffer.concat(chunks).toString() }
    this.asked.push(asked)
    const trouble = this.troubles.shift()
    if (trouble === 'silent') return
    if (trouble === 'busy') return void response.writeHead(429, { 'retry-after': '7' }).end()
    if (trouble === 'unavailable') return void response.writeHead(503, { 'retry-after': '7' }).end('<html>')
    if (trouble === 'redirect') return void response.writeHead(307, { location: this.url }).end()
    if (trouble === 'nonsense') return void response.writeHead(200).end('<html>sign in</html>')
    if (trouble === 'endless') return void response.writeHead(200).end('{"a":"'.padEnd(1_000_000, 'a'))
    const { status, headers: given, body } = this.act(asked)
    if (trouble === 'lost') return void request.socket.destroy()
    if (trouble === 'slow') await new Promise<void>((resolve) => this.held.push(resolve))
    const length = Buffer.byteLength(body)
    response.writeHead(status, { ...given, ...(status !== 204 && { 'content-length': length }) })
    if (trouble === 'truncated') return void response.write(body.slice(0, -1), () => request.socket.destroy())
    if (trouble === 'twice')
      response.on('finish', () =>
        request.socket.write(`HTTP/1.1 ${status} OK\r\ncontent-length: ${length}\r\n\r\n${body}`),
      )
    response.end(body)
  }
}

/** What a gateway is asked, for a payment of the order A-1, whose deadline is at the beginning of 2030. */
export function closingOf(payment: string | Payment, deadline = Date.UTC(2030, 0, 1)): Closing {
  const given = typeof payment === 'string' ? { reference: payment } : payment
  return { orderId: 'A-1', payment: given, deadline, idempotencyKey: `order-expiry-A-1-${given.reference}` }
}
