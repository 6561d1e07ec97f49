import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from '@jest/globals'
import { readInTurns } from '../../../src/http/read-in-turns.ts'

const GET = 'GET /livez HTTP/1.1\r\nHost: here\r\n\r\n'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const open = { now: 0, most: 0, inTurn: 0, mostInTurn: 0 }
  const server = createServer()
  readInTurns(server, async (incoming, response) => {
    open.most = Math.max(open.most, ++open.now)
    open.mostInTurn = Math.max(open.mostInTurn, ++open.inTurn)
    setImmediate(() => {
      open.inTurn = 0
    })
    response.once('close', () => open.now--)
    await handle(incoming, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(
    () => server.closeAllConnections(),
    () => server.close(),
  )
  return { port: (server.address() as AddressInfo).port, open, server }
}

async function connectTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  closing.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Counts answers, whose bodies are numbers in the order of their requests. */
async function readNumbers(socket: Socket, count: number): Promise<number[]> {
  let received = ''
  for await (const chunk of socket) {
    received += chunk
    const numbers = [...received.matchAll(/\r\n\r\n#(\d+);/g)].map(([, number]) => Number(number))
    if (numbers.length >= count) return numbers
  }
  throw new Error(`the connection was closed after ${received.slice(-200)}`)
}

function numbering() {
  let next = 0
  return (_: IncomingMessage, response: ServerResponse) => response.end(`#${next++};`)
}

test('requests of a pipeline are answered in their order, a few open at a time', async () => {
  const { port, open } = await listen(numbering())
  const socket = await connectTo(port)
  socket.write(GET.repeat(2_000))
  expect(await readNumbers(socket, 2_000)).toEqual(Array.from({ length: 2_000 }, (_, n) => n))
  expect(open.most).toBeLessThan(20)
})

test('an answer that takes its time holds up the rest of its pipeline, and nobody else', async () => {
  const answers: ServerResponse[] = []
  const { port } = await listen((incoming, response) => {
    if (incoming.url === '/slow') answers.push(response)
    else response.end('#0;')
  })
  const slow = await connectTo(port)
  slow.write('GET /slow HTTP/1.1\r\nHost: here\r\n\r\n'.repeat(5_000))
  const other = await connectTo(port)
  other.write(GET)
  expect(await readNumbers(other, 1)).toEqual([0])
  expect(answers.length).toBeLessThan(20)
})

test('a flood over many connections has few of its requests in one turn of the event loop', async () => {
  const { port, open } = await listen(numbering())
  const sockets = await Promise.all(Array.from({ length: 300 }, () => connectTo(port)))
  for (const socket of sockets) socket.write(GET)
  await Promise.all(sockets.map((socket) => once(socket, 'data')))
  expect(open.mostInTurn).toBeLessThanOrEqual(32)
})

test.each([1_024, 300_000, 3_000_000])(
  'a body of %d bytes arrives whole, and so does what follows it',
  async (bytes) => {
    const { port } = await listen(async (incoming, response) => {
      const body = await text(incoming)
      response.end(`#${body.length};`)
    })
    const socket = await connectTo(port)
    const post = `POST / HTTP/1.1\r\nHost: here\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`
    socket.write(post + post + GET)
    expect(await readNumbers(socket, 3)).toEqual([bytes, bytes, 0])
  },
)

test('a body that is sent piece by piece arrives whole', async () => {
  const { port } = await listen(async (incoming, response) => response.end(await text(incoming)))
  const asked = request({ port, method: 'POST', headers: { 'transfer-encoding': 'chunked' } })
  for (const piece of ['one ', 'two ', 'three']) {
    asked.write(piece)
    await nextTurn()
  }
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  expect(await text(answer)).toBe('one two three')
})

test('where too much is unread, who has kept it waiting for longest is cut off; the others are answered', async () => {
  const { port } = await listen((incoming, response) => {
    if (incoming.url === '/livez') response.end('#1;')
  })
  const unanswered = `GET /never HTTP/1.1\r\nHost: here\r\n\r\n`.repeat(20_000)
  const greedy: Socket[] = []
  while (greedy.length < 1_000) greedy.push(await connectTo(port))
  const cutOff = greedy.map((socket) => new Promise((resolve) => socket.on('error', () => {}).on('close', resolve)))
  for (const socket of greedy) socket.write(unanswered)
  await Promise.race(cutOff)
  const patient = await connectTo(port)
  patient.write(GET)
  expect(await readNumbers(patient, 1)).toEqual([1])
})

test.each([
  ['a pipeline', GET.repeat(100), 100],
  ['a body in many slices', `POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 300000\r\n\r\n${'x'.repeat(300_000)}`, 1],
])('a client that has closed its half after %s gets every answer', async (_, sent, answers) => {
  const { port } = await listen(async (incoming, response) => {
    await text(incoming)
    await nextTurn()
    response.end('#1;')
  })
  const socket = await connectTo(port)
  socket.end(sent)
  expect(await readNumbers(socket, answers)).toHaveLength(answers)
})

test('a pipeline has one request open at a time', async () => {
  const { port, open } = await listen(async (_, response) => {
    await nextTurn()
    response.end('#1;')
  })
  const socket = await connectTo(port)
  socket.write(GET.repeat(200))
  await readNumbers(socket, 200)
  expect(open.most).toBeLessThanOrEqual(2) // the next begins before this test is told that one has ended
})

test('a body that nobody reads is not taken into memory, and is passed over once its request is answered', async () => {
  let asked: IncomingMessage | undefined
  const answers: ServerResponse[] = []
  const { port } = await listen((incoming, response) => {
    asked ??= incoming
    if (answers.push(response) > 1) response.end('#1;')
  })
  const socket = await connectTo(port)
  const bytes = 20_000_000
  socket.write(`POST / HTTP/1.1\r\nHost: here\r\nContent-Length: ${bytes}\r\n\r\n`)
  socket.write(Buffer.alloc(bytes))
  socket.write(GET)
  await pause(500)
  expect(asked?.readableLength).toBeLessThan(200_000)
  answers[0]?.end('#0;')
  expect(await readNumbers(socket, 2)).toEqual([0, 1])
})

test('where clients do not take their answers, who has left them for longest is cut off; the others are answered', async () => {
  const { port, server } = await listen((incoming, response) => {
    response.end(incoming.url === '/livez' ? '#1;' : Buffer.alloc(8 * 1_024 * 1_024, 'x'))
  })
  const cutOff: number[] = []
  let connections = 0
  server.on('connection', (socket) => {
    const n = connections++
    socket.once('close', () => cutOff.push(n))
  })
  for (let n = 0; n < 40; n++) {
    const socket = await connectTo(port)
    socket.write('GET /large HTTP/1.1\r\nHost: here\r\n\r\n')
  }
  const asking = await connectTo(port)
  asking.write(GET.repeat(2_000))
  expect(await readNumbers(asking, 2_000)).toHaveLength(2_000)
  expect(cutOff[0]).toBe(0)
  expect(cutOff.length).toBeLessThan(40)
})

test('a new connection is answered before the first requests of those that came earlier', async () => {
  const answered: string[] = []
  const { port } = await listen(async ({ url = '' }, response) => {
    answered.push(url)
    const endsAt = performance.now() + 1
    while (performance.now() < endsAt);
    response.end('#1;')
  })
  const sockets = await Promise.all(Array.from({ length: 600 }, () => connectTo(port)))
  for (const socket of sockets) socket.write('GET /flood HTTP/1.1\r\nHost: here\r\n\r\n'.repeat(10))
  const probe = await connectTo(port)
  probe.write(GET)
  await readNumbers(probe, 1)
  expect(answered.indexOf('/livez')).toBeLessThan(600)
})

test('a first request with many headers is answered while others keep arriving', async () => {
  const { port } = await listen(numbering())
  const first = await connectTo(port)
  const get = GET.replace('\r\n\r\n', `\r\nCookie: ${'x'.repeat(12_000)}\r\n\r\n`)
  let isAnswered = false
  first.once('data', () => {
    isAnswered = true
  })
  first.write(get)
  let arrived = 0
  for (; !isAnswered && arrived < 500; arrived++) (await connectTo(port)).write(get)
  expect(arrived).toBeLessThan(500)
})

/** Answers with the body, unless it is cut off. */
function collect(incoming: IncomingMessage, response: ServerResponse) {
  return text(incoming).then(
    (body) => response.end(body || '#1;'),
    () => {},
  )
}

test('bodies that are collected count: those that have taken longest are cut off', async () => {
  const { port, server } = await listen(collect)
  let open = 0
  let mostOpen = 0
  server.on('connection', (socket) => {
    mostOpen = Math.max(mostOpen, ++open)
    socket.once('close', () => open--)
  })
  const part = Buffer.alloc(1_000_000)
  const ends: Promise<unknown>[] = []
  for (let n = 0; n < 80; n++) {
    const socket = await connectTo(port)
    ends.push(new Promise((resolve) => socket.on('error', () => {}).on('close', resolve)))
    socket.write('POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000001\r\n\r\n')
    socket.write(part)
  }
  await Promise.all(ends.slice(0, 10))
  const other = await connectTo(port)
  other.write('POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n#1;')
  expect(await readNumbers(other, 1)).toEqual([1])
  expect(mostOpen).toBeGreaterThan(20)
})

test.each([
  ['a head', 'GET /livez HTTP/1.1\r\nHost:'],
  ['a body', 'POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n'],
])('where there is no room for another connection, those that do not go on with %s are closed', async (_, begun) => {
  const { port, server } = await listen(collect)
  server.maxConnections = 100
  const ends: Promise<unknown>[] = []
  for (let n = 0; n < 100; n++) {
    const socket = await connectTo(port)
    ends.push(new Promise((resolve) => socket.on('error', () => {}).on('close', resolve)))
    socket.write(begun)
  }
  const dropped = await connectTo(port)
  dropped.on('error', () => {})
  await Promise.all(ends.slice(0, 50))
  const next = await connectTo(port)
  next.write(GET)
  expect(await readNumbers(next, 1)).toEqual([1])
})

test('a body in tiny pieces counts with what these take in memory', async () => {
  const { port } = await listen(collect)
  const socket = await connectTo(port)
  const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
  socket.write('POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n')
  socket.write('1\r\nx\r\n'.repeat(200_000))
  await closed
  const other = await connectTo(port)
  other.write('POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n#1\r\n1\r\n;\r\n0\r\n\r\n')
  expect(await readNumbers(other, 1)).toEqual([1])
})
