import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { FastifyInstance } from 'fastify'
import { OrderExpiryError } from '../../../src/errors.ts'
import { frontOf } from '../../../src/http/front.ts'
import { createHttpService } from '../../../src/http/server.ts'
import { EventBus, type Events } from '../../../src/observe/events.ts'
import { fakeSite } from '../../helpers/fake-site.ts'

const front = frontOf({
  PUBLIC_URL: undefined,
  TRUSTED_PROXY: undefined,
  TRUSTED_PROXY_USER_HEADER: undefined,
  TRUSTED_PROXY_OPERATORS: undefined,
})

const services: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const service of services.splice(0)) await service.stop()
})

async function listen(addRoutes: (server: FastifyInstance) => void) {
  const events = new EventBus()
  const asked: Events['request-finished'][] = []
  let [port, server] = [0, undefined as FastifyInstance | undefined]
  events.on('service-started', ({ detail }) => {
    port = Number(new URL(detail as string).port)
  })
  events.on('request-finished', (event) => asked.push(event))
  const service = createHttpService({
    host: '127.0.0.1',
    port: 0,
    front,
    site: fakeSite(),
    events,
    async register(made) {
      server = made
      addRoutes(made)
    },
  })
  services.push(service)
  await service.start()
  return { port, url: `http://127.0.0.1:${port}`, asked, server: server as FastifyInstance }
}

/** The first answer to what is sent, while the connection stays open. */
async function answerTo(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  socket.write(text)
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return answer
}

test('a pipeline has one request open at a time, and connections are bounded', async () => {
  const open = { now: 0, most: 0 }
  const { port, server } = await listen((made) => {
    made.get('/slow', async (_request, reply) => {
      open.most = Math.max(open.most, ++open.now)
      reply.raw.once('close', () => open.now--)
      await new Promise((resolve) => setImmediate(resolve))
      return 'done'
    })
  })
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  socket.write('GET /slow HTTP/1.1\r\nHost: here\r\n\r\n'.repeat(50))
  let received = ''
  for await (const chunk of socket) {
    received += chunk
    if (received.split('\r\n\r\ndone').length > 50) break
  }
  expect(open.most).toBe(1)
  expect(server.server.maxConnections).toBeLessThanOrEqual(4_096)
})

describe('a refusal does not wait for a body, of which nothing is kept', () => {
  const routes = (server: FastifyInstance) => {
    server.post('/v1/take', async () => 'taken')
    server.register(async (scope) => {
      scope.addHook('onRequest', async () => {
        throw new OrderExpiryError('UNAUTHORIZED', 'not you')
      })
      scope.post('/closed', async () => 'taken')
    })
  }
  const JSON_TYPE = 'Content-Type: application/json'

  test.each([
    [404, '/nothing', JSON_TYPE],
    [404, '/v1/nothing/at/all', JSON_TYPE],
    [405, '/livez', JSON_TYPE],
    [401, '/closed', JSON_TYPE],
    [403, '/v1/take', `${JSON_TYPE}\r\nSec-Fetch-Site: cross-site`],
    [415, '/v1/take', 'Content-Type: text/csv'],
    [415, '/v1/take', `${JSON_TYPE}; charset=utf-16`],
    [415, '/v1/take', `${JSON_TYPE}\r\nContent-Encoding: gzip`],
    [413, '/v1/take', JSON_TYPE],
  ])('%i POST %s, %s', async (status, path, headers) => {
    const { port, url, asked } = await listen((server) => {
      server.get('/livez', async () => 'ok')
      routes(server)
    })
    const length = status === 413 ? 2_000_000 : 1_000_000
    const head = `POST ${path} HTTP/1.1\r\nHost: here\r\nContent-Length: ${length}\r\n${headers}\r\n\r\n`
    expect(await answerTo(port, `${head}${' '.repeat(1_000)}`)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    expect(asked[0]).toMatchObject({ status, method: 'POST' })
  })

  test('and the connection goes on once the body has come', async () => {
    const { port } = await listen(routes)
    const socket = connect(port, '127.0.0.1').setEncoding('utf8')
    socket.write(`POST /nothing HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n${JSON_TYPE}\r\n\r\n`)
    expect((await once(socket, 'data'))[0]).toMatch(/^HTTP\/1.1 404 /)
    socket.write(`${' '.repeat(100_000)}GET /also/nothing HTTP/1.1\r\nHost: here\r\n\r\n`)
    expect((await once(socket, 'data'))[0]).toMatch(/GET \/also\/nothing/)
    socket.destroy()
  })
})

test.each(['/:x(', '/:x((a+)+)', '/:', '/*', '/:x', '/::', '/a/*/b', '/livez/:x(\\d+', '/%3Ax('])(
  'a path is a path, not a pattern: %s',
  async (path) => {
    const { port } = await listen((server) => {
      server.get('/livez', async () => 'ok')
      server.get('/orders/:id', async () => 'ok')
    })
    expect(await answerTo(port, `GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`)).toMatch(/^HTTP\/1.1 404 /)
  },
)

test('a long part of a path is for its route to judge', async () => {
  const { url } = await listen((server) => {
    server.get<{ Params: { name: string } }>('/guide/:name', async ({ params }) => `${params.name.length}`)
  })
  expect(await (await fetch(`${url}/guide/${'x'.repeat(7_000)}`)).text()).toBe('7000')
})
