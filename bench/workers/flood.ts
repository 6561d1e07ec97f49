import { connect } from 'node:net'
import { Host, setting } from './host.ts'

/**
 * Sends requests to one address over many connections, without end; each connection has one open request, or a pipeline of
 * them. A connection that is refused or closed is made again.
 */
const RECONNECT_MS = 50
const { hostname, port, pathname } = new URL(setting('FLOODED'))
const requests = `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n${setting('HEADERS')}\r\n`.repeat(
  Number(setting('PIPELINED')),
)
const isPipeline = Number(setting('PIPELINED')) > 1
const host = new Host()

for (let n = 0; n < Number(setting('CONNECTIONS')); n++) flood()
host.ready()

function flood(): void {
  const socket = connect(Number(port), hostname)
  const send = () => {
    while (socket.writable && socket.write(requests) && isPipeline);
  }
  socket.on('connect', send)
  socket.on('drain', send)
  socket.on('data', (chunk) => {
    const answers = chunk.toString('latin1').split('HTTP/1.1 ').length - 1
    host.finished(answers)
    if (!isPipeline && answers > 0) send()
  })
  socket.on('error', () => {})
  socket.on('close', () => setTimeout(flood, RECONNECT_MS))
}
