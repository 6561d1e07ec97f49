import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** So much of what a connection has sent is parsed at once: the longest head that Node takes. */
const SLICE_BYTES = 16 * 1_024
/** The same of a body in chunks, which may have a byte each: a hundred or two of them. */
const CHUNKED_SLICE_BYTES = 1_024
/** What a piece of a body takes, however short it is. */
const PIECE_BYTES = 200
const END_OF_HEAD = Buffer.from('\r\n\r\n')

type Parse = (bytes: Buffer) => void

/** A connection, what it has sent that is not parsed yet, and what it has asked for that is not taken yet. */
export class Reader {
  readonly socket: Socket
  /** Whether it has asked nothing so far. */
  isNew = true
  isQueued = false
  readonly #onChange: (reader: Reader) => void
  readonly #parse: Parse
  /**
   * To requests that are not answered, or whose answers the client has not taken. One array for good: where an old one, or a
   * table of a Set, is replaced, a collection of what is young takes it for alive, and with it the answer that it had.
   */
  readonly #answers: ServerResponse[] = []
  /** It may still be arriving. Not kept longer: with its answer, thousands of them would fill the memory. */
  #last: IncomingMessage | undefined
  /** Since all was answered. Of a head that is not complete the parser keeps it, of a body whoever collects that. */
  #parsedBytes = 0
  /** Of bodies, since all was answered: a chunk of one byte is an object like any other. */
  #pieces = 0

  /**
   * From now on Node's own server gets what this connection sends only in slices. Of what it has not got, the socket takes no
   * more than Node reads at once (64 KiB) and its high-water mark: while somebody only listens to `readable`, it then stops.
   *
   * @param onChange told whenever there may be something to parse
   */
  constructor(socket: Socket, onChange: (reader: Reader) => void) {
    this.socket = socket
    this.#onChange = onChange
    ;[this.#parse] = socket.listeners('data') as [Parse]
    socket.off('data', this.#parse)
    socket.on('readable', () => onChange(this))
    socket.once('close', () => onChange(this))
  }

  /** A request of it has begun. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.isNew = false
    this.#last = request
    this.#answers.push(response)
    const push = request.push.bind(request)
    request.push = (piece, encoding) => {
      this.#pieces++
      return push(piece, encoding)
    }
    const read = request._read.bind(request)
    request._read = (size) => {
      read(size)
      process.nextTick(this.#onChange, this) // only then there is room for more of the body
    }
    response.once('close', () => {
      this.#answers.splice(this.#answers.indexOf(response), 1)
      if (this.isAnswered) {
        this.#parsedBytes = 0
        this.#pieces = 0
      }
      if (this.#last?.complete) this.#last = undefined
      this.#onChange(this)
    })
  }

  /** Whether it has taken the answers to all that it has asked so far. */
  get isAnswered(): boolean {
    return this.#answers.length === 0
  }

  /** Whether it is the client that has to go on: it has not asked for anything, or not sent all of it. */
  get isIdle(): boolean {
    return this.isAnswered || this.#last?.complete === false
  }

  /** Whether it can be read: all that was asked is answered, or the body of the last request is wanted. */
  get mayRead(): boolean {
    if (this.socket.readableLength === 0 || this.socket.destroyed) return false
    return this.isAnswered || (this.#last?.complete === false && !isFull(this.#last))
  }

  /** The memory that it takes: what it has sent and is not answered, and what we have answered and it has not taken. */
  get heldBytes(): number {
    if (this.socket.destroyed) return 0
    let bytes = this.socket.readableLength + this.#parsedBytes + this.#pieces * PIECE_BYTES
    for (const answer of this.#answers) bytes += answer.writableLength
    return bytes
  }

  /** Parses a little: one head of a request at most, so that a pipeline has one request open at a time. */
  readSlice(): void {
    const { socket } = this
    const most = this.#last?.headers['transfer-encoding'] ? CHUNKED_SLICE_BYTES : SLICE_BYTES
    const bytes = socket.read(Math.min(most, socket.readableLength)) as Buffer
    const head = bytes.indexOf(END_OF_HEAD)
    const slice = head === -1 ? bytes : bytes.subarray(0, head + END_OF_HEAD.length)
    if (slice.length < bytes.length) socket.unshift(bytes.subarray(slice.length))
    this.#parsedBytes += slice.length
    this.#parse(slice)
    if (socket.readableLength === 0) socket.read(0) // otherwise it would not tell of its end
  }
}

/** Whether nobody has taken yet what has arrived of a body. */
function isFull({ readableLength, readableHighWaterMark }: IncomingMessage): boolean {
  return readableLength >= readableHighWaterMark
}
