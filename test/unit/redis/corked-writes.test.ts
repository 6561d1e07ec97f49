import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { createIORedisClient } from 'bullmq'
import { Redis } from 'ioredis'
import { joinWrites } from '../../../src/redis/corked-writes.ts'

/** A connection that keeps each piece that would be a system call. */
class Connection extends Duplex {
  readonly pieces: string[][] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.pieces.push([chunk.toString()])
    done()
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.pieces.push(chunks.map(({ chunk }) => chunk.toString()))
    done()
  }
}

const commands = (count: number) => Array.from({ length: count }, (_, n) => `command ${n}`)

function send(connection: Connection, texts: string[]): void {
  for (const text of texts) connection.write(text)
}

test('what is sent in one turn leaves together, in order, a part of it before the turn is over', async () => {
  const connection = new Connection()
  joinWrites(Object.assign(new EventEmitter(), { stream: connection }))
  send(connection, commands(80))
  expect(connection.pieces.map(({ length }) => length)).toEqual([32, 32])
  await nextTurn()
  expect(connection.pieces.map(({ length }) => length)).toEqual([32, 32, 16])
  expect(connection.pieces.flat()).toEqual(commands(80))
})

test('a single command leaves at the end of its turn, and the next turn begins anew', async () => {
  const connection = new Connection()
  joinWrites(Object.assign(new EventEmitter(), { stream: connection }))
  for (let turn = 1; turn <= 3; turn++) {
    send(connection, commands(1))
    await nextTurn()
    expect(connection.pieces).toHaveLength(turn)
  }
})

test('a connection that is made later is joined, too', async () => {
  const client = Object.assign(new EventEmitter(), { stream: new Connection() })
  joinWrites(client)
  client.stream = new Connection()
  client.emit('connect')
  send(client.stream, commands(5))
  await nextTurn()
  expect(client.stream.pieces).toEqual([commands(5)])
})

test("the client that BullMQ makes of ioredis' has its connection where it is looked for", () => {
  const redis = new Redis({ lazyConnect: true })
  const connection = new Connection()
  Object.assign(redis, { stream: connection })
  joinWrites(createIORedisClient(redis))
  send(connection, commands(2))
  expect(connection.pieces).toEqual([])
  redis.disconnect()
})
