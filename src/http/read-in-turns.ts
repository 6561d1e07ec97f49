import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'

/** So much of what a connection has sent is parsed at once: few requests, which stay open until all of them are answered. */
const SLICE_BYTES = 256
/** Slices, and requests in them, after which everything else in the process has its turn: a few milliseconds. */
const PER_TURN = 32
/** What all connections together may have sent that is not parsed yet: of each, Node reads up to 64 KiB at once. */
const MOST_UNREAD_BYTES = 32 * 1_024 * 1_024

type Parse = (bytes: Buffer) => void

/** A connection, and what it has sent that is not parsed yet. */
interface Reader {
  socket: Socket
  parse: Parse
  unread: Buffer[]
  isQueued: boolean
  /** Requests that are not answered. */
  open: number
  /** The last of them may still be arriving. */
  last: IncomingMessage | undefined
}

/**
 * Afterwards the server parses only so much in each turn of the event loop, one connection after the other, and no further
 * requests of a connection before the earlier ones are answered. Node itself parses, and begins, whatever has arrived: a
 * flood, above all one of pipelines, would hold up everything else in this process, and fill its memory. Where too much is
 * unread in all, the connection that waits longest is closed.
 *
 * @param listener takes the requests; the server is to have no other
 */
export function readInTurns(server: Server, listener: RequestListener): void {
  const readers = new WeakMap<Socket, Reader>()
  const queue: Reader[] = []
  /** Those of which something is unread, for the longest time first. */
  const waiting = new Set<Reader>()
  let left = PER_TURN
  let unreadBytes = 0
  let isTurnDue = false

  server.on('connection', (socket: Socket) => {
    const [parse] = socket.listeners('data') as [Parse]
    socket.off('data', parse)
    const reader: Reader = { socket, parse, unread: [], isQueued: false, open: 0, last: undefined }
    readers.set(socket, reader)
    const resume = socket.resume.bind(socket)
    // Node's server resumes it for each request, as if nothing was unread.
    socket.resume = () => (reader.unread.length > 0 ? socket : resume())
    socket.on('data', (chunk: Buffer) => take(reader, chunk))
    socket.once('close', () => drop(reader))
  })

  server.on('request', (request, response) => {
    const reader = readers.get(request.socket) as Reader
    left--
    reader.open++
    reader.last = request
    response.once('close', () => {
      reader.open--
      enqueue(reader)
      goOn()
    })
    listener(request, response)
  })

  function take(reader: Reader, chunk: Buffer): void {
    const { socket, unread } = reader
    unread.push(chunk)
    unreadBytes += chunk.length
    enqueue(reader)
    goOn()
    if (unread.length === 0) return
    socket.pause()
    waiting.add(reader)
    const [longest] = waiting
    if (longest && unreadBytes > MOST_UNREAD_BYTES) drop(longest)
  }

  function drop(reader: Reader): void {
    for (const { length } of reader.unread.splice(0)) unreadBytes -= length
    waiting.delete(reader)
    reader.socket.destroy()
  }

  function enqueue(reader: Reader): void {
    if (reader.isQueued || !mayRead(reader)) return
    reader.isQueued = true
    queue.push(reader)
  }

  function goOn(): void {
    while (left > 0) {
      const reader = queue.shift()
      if (!reader) return
      reader.isQueued = false
      if (!mayRead(reader)) continue
      left--
      if (!isTurnDue) setImmediate(beginTurn)
      isTurnDue = true
      readSlice(reader)
      enqueue(reader)
    }
  }

  function beginTurn(): void {
    isTurnDue = false
    left = PER_TURN
    goOn()
  }

  function readSlice(reader: Reader): void {
    const { socket, unread, parse } = reader
    const chunk = unread.shift() as Buffer
    const slice = chunk.subarray(0, SLICE_BYTES)
    if (chunk.length > slice.length) unread.unshift(chunk.subarray(slice.length))
    unreadBytes -= slice.length
    parse(slice)
    if (unread.length > 0) return
    waiting.delete(reader)
    socket.resume()
  }
}

/** All that was sent is answered, or the last request has not arrived as a whole. */
function mayRead({ socket, unread, open, last }: Reader): boolean {
  return unread.length > 0 && !socket.destroyed && (open === 0 || last?.complete === false)
}
