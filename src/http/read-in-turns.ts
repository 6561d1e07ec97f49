import type { RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import { systemClock } from '../runtime/clock.ts'
import { Reader } from './reader.ts'

/** Slices, and requests in them, after which everything else in the process has its turn, at the latest after this time. */
const PER_TURN = 32
const TURN_MS = 4
/** The same while new connections arrive: of those that wait, libuv accepts one in each turn. */
const PER_TURN_OF_ARRIVALS = 4
/** What all connections together may have sent that is not answered, and been answered that they have not taken. */
const MOST_HELD_BYTES = 32 * 1_024 * 1_024
const WEIGHED_EVERY_TURNS = 8
/** Connections that are closed at once where there is no room for another. */
const ROOM = 64

/**
 * Afterwards the server parses only so much in each turn of the event loop, one connection after the other, and no further
 * request of a connection before the earlier one is answered and the answer taken. Node itself parses, and begins, whatever has
 * arrived: a flood, above all one of pipelines, would hold up everything else in this process, and fill its memory.
 *
 * Where connections hold too much memory in all, those that have waited longest are closed; where there are too many of them,
 * those that have asked nothing for longest. The first request of a new connection, such as that of a probe, does not wait for
 * the pipelines of all others. A client that has closed its half gets its answers.
 *
 * @param listener takes the requests; the server is to have no other
 */
export function readInTurns(server: Server, listener: RequestListener): void {
  const turns = new Turns()
  const readers = new WeakMap<Socket, Reader>()
  Object.assign(server, { httpAllowHalfOpen: true }) // Node's server has it, its types do not
  server.on('connection', (socket: Socket) => {
    const reader = new Reader(socket, (changed) => turns.look(changed))
    readers.set(socket, reader)
    turns.welcome(reader)
  })
  server.on('drop', () => turns.makeRoom())
  server.on('request', (request, response) => {
    const reader = readers.get(request.socket) as Reader
    reader.begin(request, response)
    turns.countRequest(reader)
    listener(request, response)
  })
}

/** Who is read next, and who is closed where there are too many. */
class Turns {
  /** Those that have asked nothing so far. The newest is read first: in a flood, all others would keep it waiting. */
  readonly #new: Reader[] = []
  readonly #known: Reader[] = []
  #isForNew = false
  /** What each is counted with in {@link #heldBytes}. Those that hold something, for the longest time first. */
  readonly #holding = new Map<Reader, number>()
  /** Those that have to go on themselves, for the longest time first. */
  readonly #idle = new Set<Reader>()
  #heldBytes = 0
  #left = PER_TURN
  #turnEndsAt = 0
  #turns = 0
  #hasArrivals = false
  #isTurnDue = false
  #isReading = false

  welcome(reader: Reader): void {
    this.#hasArrivals = true
    this.#count(reader)
  }

  /** Called whenever there may be something to read of a connection, and when it is closed. */
  look(reader: Reader): void {
    this.#enqueue(reader)
    this.#goOn()
    this.#count(reader)
    this.#cutDown()
  }

  countRequest(reader: Reader): void {
    this.#left--
    this.#count(reader)
  }

  makeRoom(): void {
    for (const reader of [...this.#idle].slice(0, ROOM)) this.#drop(reader)
  }

  #enqueue(reader: Reader): void {
    if (reader.isQueued || !reader.mayRead) return
    reader.isQueued = true
    const queue = reader.isNew ? this.#new : this.#known
    queue.push(reader)
  }

  /** Half of the time is for each of the queues. */
  #next(): Reader | undefined {
    this.#isForNew = !this.#isForNew
    return this.#isForNew ? (this.#new.pop() ?? this.#known.shift()) : (this.#known.shift() ?? this.#new.pop())
  }

  #goOn(): void {
    if (this.#isReading) return // it goes on anyway, and Node's parser must not be entered twice
    this.#isReading = true
    while (this.#left > 0) {
      const reader = this.#next()
      if (!reader) break
      reader.isQueued = false
      if (!reader.mayRead) continue
      this.#left--
      if (!this.#isTurnDue) {
        setImmediate(() => this.#beginTurn())
        this.#turnEndsAt = systemClock.monotonic() + TURN_MS
      }
      this.#isTurnDue = true
      reader.readSlice()
      if (systemClock.monotonic() > this.#turnEndsAt) this.#left = 0
      this.#count(reader)
      this.#enqueue(reader)
    }
    this.#isReading = false
  }

  #beginTurn(): void {
    this.#isTurnDue = false
    this.#left = this.#hasArrivals ? PER_TURN_OF_ARRIVALS : PER_TURN
    this.#hasArrivals = false
    if (++this.#turns % WEIGHED_EVERY_TURNS === 0) this.#weigh()
    this.#goOn()
  }

  /** An answer grows without telling. */
  #weigh(): void {
    for (const reader of this.#holding.keys()) this.#count(reader)
    this.#cutDown()
  }

  #cutDown(): void {
    if (this.#heldBytes <= MOST_HELD_BYTES) return
    for (const [reader, bytes] of this.#holding) {
      if (bytes > 0) this.#drop(reader)
      if (this.#heldBytes <= MOST_HELD_BYTES) return
    }
  }

  #drop(reader: Reader): void {
    reader.socket.destroy()
    this.#count(reader)
  }

  /** Keeps the books. */
  #count(reader: Reader): void {
    const { heldBytes, isAnswered, isIdle, socket } = reader
    this.#heldBytes += heldBytes - (this.#holding.get(reader) ?? 0)
    if (socket.destroyed || (isAnswered && heldBytes === 0)) this.#holding.delete(reader)
    else this.#holding.set(reader, heldBytes)
    if (socket.destroyed || !isIdle) this.#idle.delete(reader)
    else this.#idle.add(reader)
    if (socket.destroyed && reader.isQueued) this.#leaveQueue(reader)
  }

  /** Where it may wait below newer ones for as long as these keep coming. */
  #leaveQueue(reader: Reader): void {
    const queue = reader.isNew ? this.#new : this.#known
    queue.splice(queue.indexOf(reader), 1)
    reader.isQueued = false
  }
}
