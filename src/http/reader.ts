import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** So much of what a connection has sent is parsed at once. */
const SLICE_BYTES = 256
const END_OF_HEAD = Buffer.from('\r\n\r\n')

type Parse = (bytes: Buffer) => void

/** A connection, what it has sent that is not parsed yet, and what it has asked for that is not taken yet. */
export class Reader {
  readonly socket: Socket
  /** Whether it has asked nothing so far. */
  isNew = true
  isQueued = false
  unreadBytes = 0
  readonly #onChange: (reader: Reader) => void
  readonly #parse: Parse
  readonly #end: () => void
  readonly #resume: () => Socket
  readonly #unread: Buffer[] = []
  /** Requests that are not answered, or whose answers the client has not taken. */
  readonly #answers = new Set<ServerResponse>()
  /** It may still be arriving. Not kept longer: with its answer, thousands of them would fill the memory. */
  #last: IncomingMessage | undefined
  #hasEnded = false

  /**
   * From now on Node's own server gets what this connection sends only in slices.
   *
   * @param onChange told whenever there may be something to parse, or no longer
   */
  constructor(socket: Socket, onChange: (reader: Reader) => void) {
    this.socket = socket
    this.#onChange = onChange
    ;[this.#parse] = socket.listeners('data') as [Parse]
    this.#end = socket.listeners('end').at(-1) as () => void // the server's; the socket's own comes first
    this.#resume = socket.resume.bind(socket)
    socket.off('data', this.#parse).off('end', this.#end)
    // Node's server resumes it for each request, as if nothing was unread.
    socket.resume = () => (this.#unread.length > 0 ? socket : this.#resume())
    socket.on('data', (chunk: Buffer) => {
      this.#unread.push(chunk)
      this.unreadBytes += chunk.length
      onChange(this)
    })
    // The stream tells of the end before all is parsed.
    socket.once('end', () => {
      this.#hasEnded = true
      if (this.#unread.length === 0) this.#end.call(socket)
    })
    socket.once('close', () => {
      this.drop()
      onChange(this)
    })
  }

  /** A request of it has begun. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.isNew = false
    this.#last = request
    this.#answers.add(response)
    const read = request._read.bind(request)
    request._read = (size) => {
      read(size)
      process.nextTick(this.#onChange, this) // only then there is room for more of the body
    }
    response.once('close', () => {
      this.#answers.delete(response)
      if (this.#last?.complete) this.#last = undefined
      this.#onChange(this)
    })
  }

  /** Whether it has taken the answers to all that it has asked so far. */
  get isAnswered(): boolean {
    return this.#answers.size === 0
  }

  /** Whether it can be read: all that was asked is answered, or the body of the last request is wanted. */
  get mayRead(): boolean {
    if (this.#unread.length === 0 || this.socket.destroyed) return false
    return this.isAnswered || (this.#last?.complete === false && !isFull(this.#last))
  }

  /** The memory that it takes: what it has sent and we have not used, and what we have answered and it has not taken. */
  get heldBytes(): number {
    let bytes = this.unreadBytes + this.socket.readableLength + (this.#last?.readableLength ?? 0)
    for (const answer of this.#answers) bytes += answer.writableLength
    return bytes
  }

  /** Parses a little: one head of a request at most, so that a pipeline has one request open at a time. */
  readSlice(): void {
    const chunk = this.#unread.shift() as Buffer
    const head = chunk.subarray(0, SLICE_BYTES).indexOf(END_OF_HEAD)
    const slice = chunk.subarray(0, head === -1 ? SLICE_BYTES : head + END_OF_HEAD.length)
    if (chunk.length > slice.length) this.#unread.unshift(chunk.subarray(slice.length))
    this.unreadBytes -= slice.length
    this.#parse(slice)
    if (this.#unread.length > 0 || this.socket.destroyed) return
    if (this.#hasEnded) this.#end.call(this.socket)
    else if (this.#last === undefined || this.#last.complete || !isFull(this.#last)) this.#resume()
  }

  drop(): void {
    this.#unread.length = 0
    this.unreadBytes = 0
    this.socket.destroy()
  }
}

/** Whether nobody has taken yet what has arrived of a body. */
function isFull({ readableLength, readableHighWaterMark }: IncomingMessage): boolean {
  return readableLength >= readableHighWaterMark
}
