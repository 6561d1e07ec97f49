import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between a worker and Redis, and can take away an answer, together with its connection. */
interface ReplyThief {
  /** Of Redis, by way of the thief. */
  url: string
  /** Takes the next answer with these words in it. Redis has done then what it was asked for, and nobody knows. */
  takeNext(words: string): void
  /** Whether it has. */
  hasTaken(): boolean
  close(): Promise<void>
}

export async function startReplyThief(redisUrl: string): Promise<ReplyThief> {
  const target = new URL(redisUrl)
  const sockets = new Set<Socket>()
  let wanted: string | undefined
  let hasTaken = false
  const server = createServer((worker) => {
    const redis = connect(Number(target.port), target.hostname)
    const cut = () => {
      for (const socket of [worker, redis]) sockets.delete(socket.destroy())
    }
    for (const socket of [worker, redis]) sockets.add(socket.setNoDelay().on('error', cut).on('close', cut))
    worker.on('data', (chunk) => redis.write(chunk))
    redis.on('data', (chunk) => {
      if (wanted === undefined || !chunk.includes(wanted)) return void worker.write(chunk)
      wanted = undefined
      hasTaken = true
      cut()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(redisUrl)
  url.port = `${(server.address() as AddressInfo).port}`
  return {
    url: url.href,
    takeNext(words) {
      wanted = words
    },
    hasTaken: () => hasTaken,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
