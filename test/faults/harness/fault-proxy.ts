import type { Socket } from 'node:net'
import { TcpProxy } from '../../helpers/tcp-proxy.ts'

/** What to do with a request that matches. */
export interface Rule {
  /** @param request what the client has just sent, its bytes as latin1 text */
  matches: (request: string, connection: ProxiedConnection) => boolean
  /**
   * - `notice`: nothing.
   * - `hold`: neither it nor what follows on the connection reaches the server, until the release.
   * - `lose`: it is swallowed, and then the connection is cut.
   * - `lose-half-open`: it is swallowed, but the connection stays open, and silent for ever.
   * - `hold-reply`: the server gets it, but the client gets no answer, until the release.
   * - `lose-reply`: the server gets it; its answer is swallowed, and then the connection is cut.
   * - `lose-reply-half-open`: the same, but the connection stays open, and silent for ever.
   */
  action: RequestAction | ReplyAction
}
type RequestAction = 'notice' | 'hold' | 'lose' | 'lose-half-open'
type ReplyAction = 'hold-reply' | 'lose-reply' | 'lose-reply-half-open'

/** A rule that waits for its request. */
interface Interception {
  /** Resolves with the connection once a request has matched and, for the rules about replies, has been answered. */
  hit: Promise<ProxiedConnection>
  /** Lets go what is held, and matches no more. */
  release(): void
}

/** What a proxy understands of what passes. */
export interface Protocol {
  /** Names for what a request may contain, by which connections can be told apart. */
  marks: Readonly<Record<string, RegExp>>
  /** Matches each refusal in a reply, everywhere; its group is the code. */
  refusal?: RegExp
}

/** Stands between clients and a server, on loopback, and does to their connections what networks do. */
export class FaultProxy extends TcpProxy {
  readonly connections = new Set<ProxiedConnection>()
  /** Connections that clients have asked for, refused ones included. */
  attempts = 0
  /** The codes of the refusals that clients have been sent. */
  readonly refusals = new Set<string>()
  /** How much later everything arrives, in each direction. */
  delayMs = 0
  readonly #protocol: Protocol
  readonly #rules = new Map<Rule, (connection: ProxiedConnection) => void>()
  #reach: 'open' | 'refused' | 'swallowed' = 'open'

  private constructor(url: string, protocol: Protocol) {
    super(url)
    this.#protocol = protocol
  }

  /** @param protocol what it understands. Default: nothing */
  static override async to(url: string, protocol: Protocol = { marks: {} }): Promise<FaultProxy> {
    return new FaultProxy(url, protocol).listen()
  }

  /** Those connections on which a request with this mark has been seen. */
  withMark(mark: string): ProxiedConnection[] {
    return [...this.connections].filter(({ marks }) => marks.has(mark))
  }

  /** On how many connections a request with this mark has been seen since then. */
  countSince(mark: string, since: number): number {
    return this.withMark(mark).filter((connection) => connection.seenAt(mark) >= since).length
  }

  override cut(): void {
    this.#reach = 'refused'
    for (const connection of this.connections) connection.cut()
  }

  /** Swallows everything in both directions, on the connections there are and on new ones; nobody is told. */
  blackHole(): void {
    this.#reach = 'swallowed'
    for (const connection of this.connections) connection.blackHole()
  }

  /** Serves new connections again. Those that were black-holed stay so: their bytes are gone. */
  override heal(): void {
    this.#reach = 'open'
    this.delayMs = 0
    this.#rules.clear()
    for (const connection of this.connections) connection.release()
  }

  /** Waits for the first request that matches, and acts on it. */
  intercept(rule: Rule): Interception {
    let caught: ProxiedConnection | undefined
    const hit = new Promise<ProxiedConnection>((resolve) => {
      this.#rules.set(rule, (connection) => {
        caught = connection
        resolve(connection)
      })
    })
    return {
      hit,
      release: () => {
        this.#rules.delete(rule)
        caught?.release()
      },
    }
  }

  protected override serve(client: Socket): void {
    this.attempts++
    if (this.#reach === 'refused') return void client.destroy()
    const { marks, refusal } = this.#protocol
    const connection = new ProxiedConnection({
      client,
      upstream: this.connect(),
      delayMs: () => this.delayMs,
      onRequest: (request) => {
        for (const [mark, pattern] of Object.entries(marks)) if (pattern.test(request)) connection.mark(mark)
        this.#apply(request, connection)
      },
      onReply: (reply) => {
        for (const [, code = ''] of refusal ? reply.matchAll(refusal) : []) this.refusals.add(code)
      },
      onClose: () => this.connections.delete(connection),
    })
    this.connections.add(connection)
    if (this.#reach === 'swallowed') connection.blackHole()
  }

  #apply(request: string, connection: ProxiedConnection): void {
    for (const [rule, onHit] of this.#rules) {
      if (!rule.matches(request, connection)) continue
      this.#rules.delete(rule)
      switch (rule.action) {
        case 'notice':
          break
        case 'hold':
          connection.hold()
          break
        case 'lose':
          connection.cut()
          break
        case 'lose-half-open':
          connection.blackHole()
          break
        default:
          connection.onReply(rule.action, () => onHit(connection))
          return
      }
      onHit(connection)
      return
    }
  }
}

/** One client's connection, and ours to the server on its behalf. */
class ProxiedConnection {
  readonly #seen = new Map<string, number>()
  readonly #client: Socket
  readonly #upstream: Socket
  readonly #toServer: Direction
  readonly #toClient: Direction
  #atReply: (() => void) | undefined

  constructor(options: {
    client: Socket
    upstream: Socket
    delayMs: () => number
    onRequest: (request: string) => void
    onReply: (reply: string) => void
    onClose: () => void
  }) {
    const { client, upstream, delayMs, onRequest, onReply, onClose } = options
    this.#client = client
    this.#upstream = upstream
    this.#toServer = new Direction(upstream, delayMs)
    this.#toClient = new Direction(client, delayMs)
    client.setNoDelay(true)
    upstream.setNoDelay(true)
    client.on('data', (chunk: Buffer) => {
      onRequest(chunk.toString('latin1'))
      this.#toServer.send(chunk)
    })
    upstream.on('data', (chunk: Buffer) => {
      onReply(chunk.toString('latin1'))
      this.#toClient.send(chunk)
      const atReply = this.#atReply
      this.#atReply = undefined
      atReply?.()
    })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => {})
      socket.on('close', () => {
        onClose()
        // Behind a black hole, neither side learns that the other has gone.
        if (this.#toServer.state !== 'swallow' || socket === client) other.destroy()
      })
    }
  }

  mark(mark: string): void {
    this.#seen.set(mark, Date.now())
  }

  /** What requests it has carried. */
  get marks(): ReadonlySet<string> {
    return new Set(this.#seen.keys())
  }

  /** When a request with this mark was last seen, as epoch milliseconds. */
  seenAt(mark: string): number {
    return this.#seen.get(mark) ?? 0
  }

  /** Breaks the connection; both sides notice. */
  cut(): void {
    this.#client.resetAndDestroy()
    this.#upstream.destroy()
  }

  /** Swallows what comes from now on, in both directions, for ever; neither side notices. */
  blackHole(): void {
    this.#toServer.state = 'swallow'
    this.#toClient.state = 'swallow'
  }

  /** Keeps what the client sends from now on. */
  hold(): void {
    this.#toServer.state = 'hold'
  }

  /** Does to the next answer, and all that come after it, what the rule says; `done` is called when it is here. */
  onReply(action: ReplyAction, done: () => void): void {
    this.#toClient.state = action === 'hold-reply' ? 'hold' : 'swallow'
    this.#atReply = () => {
      if (action === 'lose-reply') this.cut()
      if (action === 'lose-reply-half-open') this.blackHole()
      done()
    }
  }

  /** Lets go what is held. */
  release(): void {
    this.#toServer.release()
    this.#toClient.release()
  }
}

class Direction {
  state: 'open' | 'hold' | 'swallow' = 'open'
  readonly #to: Socket
  readonly #delayMs: () => number
  #held: Buffer[] = []
  #arrivesAt = 0

  constructor(to: Socket, delayMs: () => number) {
    this.#to = to
    this.#delayMs = delayMs
  }

  send(chunk: Buffer): void {
    if (this.state === 'swallow') return
    if (this.state === 'hold') return void this.#held.push(chunk)
    const now = Date.now()
    // Never before what was sent earlier, even if that was delayed by more.
    this.#arrivesAt = Math.max(this.#arrivesAt, now + this.#delayMs())
    if (this.#arrivesAt <= now) this.#to.write(chunk)
    else setTimeout(() => this.#to.write(chunk), this.#arrivesAt - now)
  }

  release(): void {
    if (this.state !== 'hold') return
    this.state = 'open'
    for (const chunk of this.#held.splice(0)) this.send(chunk)
  }
}
