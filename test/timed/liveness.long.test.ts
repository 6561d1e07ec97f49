import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { DaemonProcess } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { startRedis } from '../helpers/processes.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const AWAY_MS = 40_000

const closing: (() => Promise<unknown> | unknown)[] = []
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Answer {
  code: number
  body: { status: string; loops?: { name: string }[]; checks?: { name: string; reason?: string }[] }
}

/** What a daemon has answered, and what happened to it. */
interface Story {
  livez: Answer[]
  readyz: Answer[]
  linesPerSecond: number
  exitCode: number | null
}

async function get(daemon: DaemonProcess, path: string): Promise<Answer> {
  const answer = await fetch(`${await daemon.url()}${path}`, { signal: AbortSignal.timeout(10_000) })
  return { code: answer.status, body: (await answer.json()) as Answer['body'] }
}

async function start(env: Record<string, string>): Promise<DaemonProcess> {
  const table = await OrdersTable.create()
  await table.migrate()
  closing.push(() => table.drop())
  const daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: uniqueName('liveness'),
    SWEEP_EVERY: '1s',
    SWEEP_AHEAD: '10s',
    ...table.env,
    ...env,
  })
  closing.push(() => daemon.stop('SIGKILL'))
  return daemon
}

/** Takes something away for {@link AWAY_MS}, asking the probes all the while, and gives it back. */
async function outage(daemon: DaemonProcess, options: { begin: () => void; end: () => void }): Promise<Story> {
  expect(await get(daemon, '/readyz')).toMatchObject({ code: 200 })
  const lines = daemon.logs.length
  options.begin()
  const livez: Answer[] = []
  const readyz: Answer[] = []
  const endsAt = Date.now() + AWAY_MS
  while (Date.now() < endsAt) {
    livez.push(await get(daemon, '/livez'))
    readyz.push(await get(daemon, '/readyz'))
    await new Promise((next) => setTimeout(next, 1_000))
  }
  livez.push(await get(daemon, '/livez'))
  const linesPerSecond = (daemon.logs.length - lines) / (AWAY_MS / 1_000)
  options.end()
  await eventually('it is ready again', async () => (await get(daemon, '/readyz')).code === 200, 30_000)
  for (let n = 0; n < 5; n++) {
    livez.push(await get(daemon, '/livez'))
    await new Promise((next) => setTimeout(next, 1_000))
  }
  return { livez, readyz, linesPerSecond, exitCode: await daemon.stop() }
}

async function cutOff(name: 'REDIS_URL' | 'DATABASE_URL', url: string): Promise<Story> {
  const proxy = await TcpProxy.to(url)
  closing.push(() => proxy.close())
  const daemon = await start({ [name]: proxy.urlOf(url) })
  return await outage(daemon, { begin: () => proxy.cut(), end: () => proxy.heal() })
}

async function frozenRedis(): Promise<Story> {
  const server = await startRedis()
  closing.push(() => server.stop())
  const daemon = await start({ REDIS_URL: server.url })
  return await outage(daemon, {
    begin: () => process.kill(server.pid, 'SIGSTOP'),
    end: () => process.kill(server.pid, 'SIGCONT'),
  })
}

/** From a signal on, the worker's fetches never come to an end. */
async function stuckWorker(): Promise<{ redAfterMs: number; answer: Answer; before: Answer }> {
  const preload = pathToFileURL(resolve('test/helpers/stuck-fetch.mjs')).href
  const daemon = await start({ NODE_OPTIONS: `--import ${preload}` })
  const before = await get(daemon, '/livez')
  daemon.signal('SIGUSR2')
  const stuckAt = Date.now()
  const answer = await eventually(
    '/livez is red',
    async () => {
      const found = await get(daemon, '/livez')
      return found.code !== 200 && found
    },
    70_000,
  )
  const redAfterMs = Date.now() - stuckAt
  await daemon.stop('SIGKILL') // as an orchestrator does in the end
  return { redAfterMs, answer, before }
}

/** All at the same time, since each takes most of a minute. */
let stories: {
  redisCut: Promise<Story>
  redisFrozen: Promise<Story>
  storeCut: Promise<Story>
  stuck: ReturnType<typeof stuckWorker>
}
beforeAll(() => {
  stories = {
    redisCut: cutOff('REDIS_URL', redisUrl()),
    redisFrozen: frozenRedis(),
    storeCut: cutOff('DATABASE_URL', databaseUrl()),
    stuck: stuckWorker(),
  }
  for (const story of Object.values(stories)) story.catch(() => {}) // its test reports it
})

const codes = (answers: readonly Answer[]) => [...new Set(answers.map(({ code }) => code))]
/** The first seconds of an outage may pass before anybody has noticed. */
const later = (answers: readonly Answer[]) => answers.slice(Math.ceil(answers.length / 4))
const reasons = (answers: readonly Answer[], name: string) => [
  ...new Set(answers.map(({ body }) => body.checks?.find((check) => check.name === name)?.reason)),
]

function expectDown(story: Story, name: 'redis' | 'store', reason: RegExp): void {
  const other = name === 'redis' ? 'store' : 'redis'
  expect(story.livez.length).toBeGreaterThan(10)
  expect(codes(story.livez)).toEqual([200])
  expect(codes(later(story.readyz))).toEqual([503])
  for (const found of reasons(later(story.readyz), name)) expect(found).toMatch(reason)
  expect(reasons(later(story.readyz), other)).toEqual([undefined])
  expect(story.linesPerSecond).toBeLessThanOrEqual(10)
  expect(story.exitCode).toBe(0)
}

test('while Redis is away, it lives and is not ready, with the reason; then it is ready again', async () => {
  expectDown(await stories.redisCut, 'redis', /^REDIS_UNAVAILABLE$/)
}, 120_000)

test('while Redis answers nothing, it lives and is not ready, with the reason; then it is ready again', async () => {
  expectDown(await stories.redisFrozen, 'redis', /^(REDIS_UNAVAILABLE|no answer within 2000 ms)$/)
}, 120_000)

test('while the order store is away, it lives and is not ready, with the reason; then it is ready again', async () => {
  expectDown(await stories.storeCut, 'store', /^STORE_UNAVAILABLE$/)
}, 120_000)

test('a worker that fetches no more makes it red within a minute, by name, and nothing else', async () => {
  const { redAfterMs, answer, before } = await stories.stuck
  expect(before.code).toBe(200)
  expect(redAfterMs).toBeGreaterThan(25_000)
  expect(redAfterMs).toBeLessThan(60_000)
  expect(answer).toMatchObject({ code: 503, body: { status: 'stuck', loops: [{ name: 'worker' }] } })
  expect(answer.body.loops).toHaveLength(1)
}, 120_000)
