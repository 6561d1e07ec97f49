import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { burstQuestion } from '../../bench/burst.ts'
import type { Contender } from '../../bench/contender.ts'
import { latenessQuestion } from '../../bench/lateness.ts'
import { lostReplyQuestion } from '../../bench/lost-reply.ts'
import { withDatabase } from '../../bench/orders.ts'
import type { Measured, Question } from '../../bench/question.ts'
import { type Servers, startServers } from '../../bench/servers.ts'

let servers: Servers
beforeAll(async () => {
  servers = await startServers()
})
afterAll(() => servers.stop())

/** A contender that runs a statement each millisecond or so, and says that it has finished at once. */
function running(name: string, sql: string): Contender {
  return {
    name,
    advice: '',
    cancels: true,
    async place() {},
    async start() {
      let isStopped = false
      const loop = (async () => {
        while (!isStopped) {
          await withDatabase(servers, (database) => database.query(sql))
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
      })()
      return {
        pids: [],
        unfinished: async () => 0,
        async stop() {
          isStopped = true
          await loop
        },
      }
    },
  }
}

const CANCEL = "UPDATE orders SET status = 'cancelled', cancelled_at = now()"
const idle = running('idle', 'SELECT 1')
const blind = running('blind', `${CANCEL} WHERE status <> 'cancelled' AND payment_deadline <= now()`)
const hasty = running('hasty', `${CANCEL} WHERE status = 'pending' AND paid_at IS NULL`)
const right = running('right', `${CANCEL} WHERE status = 'pending' AND paid_at IS NULL AND payment_deadline <= now()`)
const broken: Contender = {
  ...idle,
  name: 'broken',
  async start() {
    throw new Error('it does not start')
  },
}

/** Cancels what is due once Redis has answered with a job, and does nothing before. */
function reading(onLost: () => void): Contender {
  return {
    ...idle,
    name: 'ours',
    async place({ redisUrl }, orders) {
      const redis = new Redis(redisUrl)
      await redis.set('job', JSON.stringify({ orderId: orders[0]?.orderId }))
      redis.disconnect()
    },
    async start({ redisUrl }) {
      const redis = new Redis(redisUrl).on('error', () => {}).on('reconnecting', onLost)
      await redis.ping()
      return {
        pids: [],
        async unfinished() {
          await redis.get('job')
          await withDatabase(servers, (database) => database.query(`${CANCEL} WHERE payment_deadline <= now()`))
          return 0
        },
        async stop() {
          redis.disconnect()
        },
      }
    },
  }
}

async function ask(question: Question, contenders: readonly Contender[]) {
  const warnings: string[] = []
  const measured = await question.run({
    servers,
    contenders,
    quick: true,
    round: 1,
    minutes: 0.1,
    progress() {},
    warn: (text) => warnings.push(text),
  })
  return { measured, warnings }
}

function figuresOf(measured: readonly Measured[], contender: string, name = '') {
  return measured.find((one) => one.contender === contender && one.case === name)?.figures
}

test('the burst tells of orders that were not cancelled, or should not have been, and of contenders that fail', async () => {
  const { measured, warnings } = await ask(burstQuestion(), [broken, idle, blind, hasty, right])
  expect(warnings).toEqual(['broken: it does not start'])
  expect(measured.map(({ contender }) => contender)).toEqual(['idle', 'blind', 'hasty', 'right'])
  expect(figuresOf(measured, 'idle')).toMatchObject({ cancelled: 0, wrong: 1_000 })
  // For each that it cancels, it cancels a paid one.
  expect(figuresOf(measured, 'blind')?.wrong).toBeGreaterThan(500)
  expect(figuresOf(measured, 'hasty')).toMatchObject({ cancelled: 0, wrong: 1_000 })
  expect(figuresOf(measured, 'right')?.wrong).toBeLessThan(100)
})

test('the lateness tells of orders that are missing, and counts them as late', async () => {
  const { measured, warnings } = await ask(latenessQuestion(), [idle, right])
  expect(warnings).toEqual([])
  expect(figuresOf(measured, 'idle', '1,000/s')).toEqual({ p50: 5_000, p99: 5_000, max: 5_000, missing: 1_000 })
  expect(measured.find(({ contender }) => contender === 'right')?.samples?.length).toBe(100)
  const { p50 = 0, missing } = figuresOf(measured, 'right', '100/s') ?? {}
  expect(missing).toBe(0)
  expect(p50).toBeGreaterThan(0)
  expect(p50).toBeLessThan(1_000)
})

test('the answer that is lost is the first with a job in it, once; without one, nothing was measured', async () => {
  let lost = 0
  const { measured, warnings } = await ask(lostReplyQuestion(), [
    reading(() => lost++),
    { ...idle, name: 'ours-wrapped' },
  ])
  expect(warnings).toEqual(['ours-wrapped: no answer was lost'])
  expect(figuresOf(measured, 'ours')).toMatchObject({ missing: 0 })
  expect(lost).toBe(1)
})
