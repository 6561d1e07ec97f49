import { Duplex } from 'node:stream'

/** Commands in one piece at most: Redis is to begin with the first while the last are still being made. */
const MOST = 32

/**
 * From now on, what a client sends within one turn of the event loop leaves in one piece. A batch ends hundreds of jobs at
 * once, each with a command of its own, and ioredis would make a system call for each; Redis answers them together, too.
 * Nothing waits longer than until the end of the turn. (ioredis' own pipelining lets only one pipeline be under way at a
 * time, so that each command waits for the answers to those before.)
 *
 * @param client an ioredis client; connections that it makes later are joined, too
 */
export function joinWrites(client: { on(event: 'connect', listener: () => void): unknown }): void {
  const joinStream = () => {
    if ('stream' in client && client.stream instanceof Duplex) joinWritesOf(client.stream)
  }
  joinStream()
  client.on('connect', joinStream)
}

function joinWritesOf(stream: Duplex): void {
  const write = stream.write
  let joined = 0
  stream.write = function joining(...args: unknown[]) {
    if (joined === 0) {
      stream.cork()
      setImmediate(() => {
        joined = 0
        stream.uncork()
      })
    } else if (joined % MOST === 0) {
      stream.uncork()
      stream.cork()
    }
    joined++
    return Reflect.apply(write, stream, args)
  }
}
