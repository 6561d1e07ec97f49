import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { closing } from './closing.ts'
import { eventually } from './eventually.ts'

interface CloudEvent {
  id: string
  source: string
  type: string
  subject: string
  time: string
  data: Record<string, unknown>
}

type Answer = (event: CloudEvent, response: ServerResponse, attempt: number) => void

/** A receiver of webhooks on loopback, which verifies each as the published library does. */
export class Receiver {
  readonly secret = `whsec_${randomBytes(32).toString('base64')}`
  /** Every request that was verified, in their order. */
  readonly events: CloudEvent[] = []
  readonly headers: IncomingMessage['headers'][] = []
  /** What the library has refused. */
  readonly refused: string[] = []
  /** How each is answered. */
  answer: Answer = (_event, response) => response.writeHead(204).end()
  url = ''
  readonly #server = createServer((request, response) => void this.#take(request, response))

  static async start(): Promise<Receiver> {
    const receiver = new Receiver()
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    receiver.url = `http://127.0.0.1:${(receiver.#server.address() as AddressInfo).port}/hook?shop=1`
    closing.push(() => receiver.stop())
    return receiver
  }

  /** The settings with which events come here. */
  get env(): Record<string, string> {
    return { WEBHOOK_URL: this.url, WEBHOOK_SECRET: this.secret, WEBHOOK_ALLOW_PRIVATE: 'true' }
  }

  /** Resolves once it has got this many different events. */
  async got(count: number, withinMs?: number): Promise<CloudEvent[]> {
    await eventually(`${count} events`, () => new Set(this.events.map(({ id }) => id)).size >= count, withinMs)
    return this.events
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
    const body = Buffer.concat(chunks).toString()
    try {
      const event = new Webhook(this.secret).verify(body, request.headers as Record<string, string>) as CloudEvent
      this.events.push(event)
      this.headers.push(request.headers)
      this.answer(event, response, this.events.filter(({ id }) => id === event.id).length)
    } catch (error) {
      this.refused.push(String(error))
      response.writeHead(400).end()
    }
  }
}
