import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { EmbeddedRedis } from '../src/redis/embedded.ts'
import { systemClock } from '../src/runtime/clock.ts'
import type { BenchOrder, Contender } from './contender.ts'
import { killOnExit } from './kill-on-exit.ts'
import { CASES } from './memory-cases.ts'
import type { Context, Measured, Question } from './question.ts'
import { eachContender } from './run.ts'
import type { Servers } from './servers.ts'

/** Whose waiting orders are in Redis. */
const IN_REDIS = ['ours', 'before', 'bullmq', 'sorted-set']
const ORDERS = 50_000
const QUICK_ORDERS = 2_000
/** Placed before counting begins: scripts, queue and streams are there once, however many orders wait. */
const FIRST = 1_000
const DUE_IN_MS = 3_600_000

/** What a waiting order takes in Redis. */
export function memoryQuestion(): Question {
  return {
    name: 'memory',
    title:
      `Redis memory for each of ${ORDERS.toLocaleString('en')} waiting orders (used_memory in INFO, before and after), with the settings of ` +
      'the embedded Redis (hash-max-listpack-value 256) and with the defaults; plain BullMQ jobs carry attempts and backoff.',
    columns: [{ key: 'bytesPerOrder', title: 'bytes per order', unit: '', better: 'less' }],
    rounds: 1,
    seconds: 40,
    async run(context) {
      const contenders = context.contenders.filter(({ name }) => IN_REDIS.includes(name))
      await context.servers.reset()
      return withEmbeddedRedis((redisUrl) => {
        const embedded = { ...context.servers, redisUrl }
        return eachContender({ ...context, contenders }, (contender) => measure({ context, embedded, contender }))
      })
    },
  }
}

async function measure(options: { context: Context; embedded: Servers; contender: Contender }): Promise<Measured[]> {
  const { context, embedded, contender } = options
  const { servers, quick, round, progress } = context
  const cases = [
    { case: CASES.uuidEmbedded, on: embedded, idOf: () => randomUUID() },
    { case: CASES.uuidDefault, on: servers, idOf: () => randomUUID() },
    { case: CASES.bigintEmbedded, on: embedded, idOf: bigintOf },
    { case: CASES.bigintDefault, on: servers, idOf: bigintOf },
  ]
  const measured: Measured[] = []
  for (const { case: ofCase, on, idOf } of cases) {
    progress(`${contender.name}, ${ofCase}`)
    const bytesPerOrder = await bytesOf({ contender, on, idOf, count: quick ? QUICK_ORDERS : ORDERS })
    measured.push({ question: 'memory', contender: contender.name, case: ofCase, round, figures: { bytesPerOrder } })
  }
  return measured
}

async function bytesOf(options: {
  contender: Contender
  on: Servers
  idOf: (index: number) => string
  count: number
}): Promise<number> {
  const { contender, on, idOf, count } = options
  const orders = Array.from({ length: FIRST + count }, (_, index): BenchOrder => {
    return { orderId: idOf(index), deadline: Date.now() + DUE_IN_MS + index, paid: false }
  })
  const redis = new Redis(on.redisUrl)
  try {
    await redis.flushall()
    await contender.place(on, orders.slice(0, FIRST))
    const before = await usedMemory(redis)
    await contender.place(on, orders.slice(FIRST))
    const after = await usedMemory(redis)
    await redis.flushall()
    return (after - before) / count
  } finally {
    redis.disconnect()
  }
}

/** As a bigserial column gives them to a shop that has sold a million times. */
function bigintOf(index: number): string {
  return `${1_000_000 + index}`
}

/** In bytes, with the buffers of clients that have just left given back. */
async function usedMemory(redis: Redis): Promise<number> {
  while (Number(/connected_clients:(\d+)/.exec(await redis.info('clients'))?.[1]) > 2) await systemClock.sleep(50)
  await systemClock.sleep(SETTLE_MS)
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
}

/** Redis shrinks buffers and tables on its timer. */
const SETTLE_MS = 300

/** The very Redis that a daemon without REDIS_URL starts, with its own settings. */
async function withEmbeddedRedis<T>(work: (redisUrl: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-bench-redis-'))
  const embedded = new EmbeddedRedis({ dir, clock: systemClock, onExit: () => {} })
  try {
    await embedded.start()
    const redis = new Redis(embedded.url)
    const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1])
    redis.disconnect()
    const letLive = killOnExit(pid)
    const result = await work(embedded.url)
    await embedded.stop()
    letLive()
    return result
  } finally {
    await embedded.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}
