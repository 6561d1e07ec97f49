import { randomUUID } from 'node:crypto'
import { Queue } from 'bullmq'
import { OrderExpiry } from '../../src/index.ts'

/** What a producer is to do, as JSON in its first argument. */
export interface ProducerTask {
  contender: string
  redisUrl: string
  /** Concurrent callers that schedule single orders. */
  callers: number
  /** Numbers of orders: one after the other, by the callers, in bulk. */
  alone: number
  single: number
  bulk: number
  hold: number
}

/** What it answers. */
export interface Scheduled {
  alonePerSecond: number
  singlePerSecond: number
  bulkPerSecond: number
  longestHoldMs: number
}

interface Order {
  orderId: string
  deadline: number
}

interface Producer {
  one(order: Order): Promise<unknown>
  many(orders: readonly Order[]): Promise<unknown>
}

const WARM_UP = 2_000
const JOBS_AT_ONCE = 1_000
const DUE_IN_MS = 3_600_000

const task = JSON.parse(process.argv[2] ?? '') as ProducerTask
const create: Record<string, (redisUrl: string) => Producer> = { ours, bullmq }
const producer = create[task.contender]?.(task.redisUrl)
if (!producer) throw new Error(`expected one of ${Object.keys(create).join(', ')}; got ${task.contender}`)

await byCallers(producer, makeOrders(WARM_UP))
const alonePerSecond = await rate(task.alone, (orders) => byCallers(producer, orders, 1))
const singlePerSecond = await rate(task.single, (orders) => byCallers(producer, orders))
await producer.many(makeOrders(WARM_UP))
const bulkPerSecond = await rate(task.bulk, (orders) => producer.many(orders))
const held = makeOrders(task.hold)
const longestHoldMs = await longestHold(() => producer.many(held))
process.send?.({ alonePerSecond, singlePerSecond, bulkPerSecond, longestHoldMs } satisfies Scheduled)

/** The library, as an application has it. */
function ours(redisUrl: string): Producer {
  const client = new OrderExpiry({ redis: redisUrl })
  return {
    one: (order) => client.schedule(order),
    async many(orders) {
      const failed = (await client.scheduleMany(orders)).find((result) => 'error' in result)
      if (failed) throw failed.error
    },
  }
}

/** A bare queue with an id and a delay on each job. An id, because without one, an order placed twice has two jobs. */
function bullmq(redisUrl: string): Producer {
  const queue = new Queue('check-payment', { connection: { url: redisUrl } })
  const jobOf = ({ orderId, deadline }: Order) => ({
    name: 'check-payment',
    data: { orderId, deadline },
    opts: { jobId: `order-${orderId}`, delay: deadline - Date.now() },
  })
  return {
    one(order) {
      const { name, data, opts } = jobOf(order)
      return queue.add(name, data, opts)
    },
    async many(orders) {
      for (let start = 0; start < orders.length; start += JOBS_AT_ONCE) {
        await queue.addBulk(orders.slice(start, start + JOBS_AT_ONCE).map(jobOf))
      }
    },
  }
}

function makeOrders(count: number): Order[] {
  const deadline = Date.now() + DUE_IN_MS
  return Array.from({ length: count }, () => ({ orderId: randomUUID(), deadline }))
}

/** Orders per second. */
async function rate(count: number, work: (orders: readonly Order[]) => Promise<unknown>): Promise<number> {
  const orders = makeOrders(count)
  const startedAt = performance.now()
  await work(orders)
  return (count / (performance.now() - startedAt)) * 1_000
}

/** Each caller schedules one order at a time, as the requests of a busy shop do. */
async function byCallers({ one }: Producer, orders: readonly Order[], callers = task.callers): Promise<void> {
  let next = 0
  const call = async () => {
    for (let order = orders[next++]; order; order = orders[next++]) await one(order)
  }
  await Promise.all(Array.from({ length: callers }, call))
}

/** How long, in milliseconds, something else in this process had to wait for its turn at most. */
async function longestHold(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let isDone = false
  let last = performance.now()
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!isDone) setImmediate(look)
  }
  setImmediate(look)
  await work()
  isDone = true
  return Math.max(longest, performance.now() - last)
}
