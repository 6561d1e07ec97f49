import { once } from 'node:events'
import { connect } from 'node:net'

/**
 * Sends one inline command to a Redis on a Unix socket, over a connection of its own, and resolves with the answer as it
 * was sent: https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands
 *
 * @throws what the socket says
 */
export async function sendInlineCommand(socket: string, command: string): Promise<string> {
  const connection = connect(socket)
  try {
    await once(connection, 'connect')
    connection.write(`${command}\r\n`)
    let answer = ''
    for await (const chunk of connection) {
      answer += String(chunk)
      if (isWhole(answer)) break
    }
    return answer
  } finally {
    connection.destroy()
  }
}

/** A simple string, or a bulk string with all the bytes that it announces. */
function isWhole(answer: string): boolean {
  const bulk = /^\$(\d+)\r\n/.exec(answer)
  if (!bulk) return answer.endsWith('\r\n')
  return Buffer.byteLength(answer) >= bulk[0].length + Number(bulk[1]) + 2
}
