import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Stands between clients and a server, on loopback, and can be cut. */
export class TcpProxy {
  readonly #server: Server
  #target: number
  readonly #sockets = new Set<Socket>()
  #isCut = false
  #losesNext = false
  #isFrozen = false

  /** @param url of the server */
  protected constructor(url: string) {
    this.#target = Number(new URL(url).port)
    this.#server = createServer((client) => this.serve(client))
  }

  static async to(url: string): Promise<TcpProxy> {
    return new TcpProxy(url).listen()
  }

  /** The URL of the server, by way of the proxy. */
  urlOf(url: string): string {
    const through = new URL(url)
    through.port = String((this.#server.address() as AddressInfo).port)
    return through.href
  }

  /** Breaks every connection and takes no new one. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  heal(): void {
    this.#isCut = false
  }

  /** New connections lead to another server. */
  leadTo(url: string): void {
    this.#target = Number(new URL(url).port)
  }

  /** The next connection is broken as soon as it is made. */
  loseNext(): void {
    this.#losesNext = true
  }

  /** What is said from now on arrives nowhere, on new connections too. */
  freeze(): void {
    this.#isFrozen = true
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  async close(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  protected async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  /** Passes on what a client and the server say to each other. */
  protected serve(client: Socket): void {
    const isLost = this.#isCut || this.#losesNext
    this.#losesNext = false
    if (isLost) return void client.destroy()
    if (this.#isFrozen) return void this.#sockets.add(client.on('error', () => {}))
    const upstream = this.connect()
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }

  /** A new connection to the server. */
  protected connect(): Socket {
    return connect(this.#target, '127.0.0.1')
  }
}
