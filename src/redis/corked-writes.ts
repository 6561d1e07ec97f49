import { Duplex } from 'node:stream'

/** Redis should begin with the first command while the last are still being made. */
const MOST_COMMANDS_IN_ONE_PIECE = 32

/**
 * From now on, what an ioredis client sends within one turn of the event loop leaves in one piece, at the end of the turn. A
 * batch ends hundreds of jobs at once, each with a command of its own, and ioredis would make a system call for each. (Its
 * own pipelining has only one pipeline under way at a time, so that each command waits for the answers to those before.)
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
    } else if (joined % MOST_COMMANDS_IN_ONE_PIECE === 0) {
      stream.uncork()
      stream.cork()
    }
    joined++
    return Reflect.apply(write, stream, args)
  }
}
