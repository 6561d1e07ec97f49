import { createServer } from 'node:http'
import { Host, setting } from './host.ts'

/** Takes every webhook at once. */
const host = new Host()
createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    response.writeHead(204).end()
    host.finished()
  })
}).listen(Number(setting('PORT')), '127.0.0.1', () => host.ready())
