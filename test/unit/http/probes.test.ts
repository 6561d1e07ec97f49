import { afterEach, describe, expect, test } from '@jest/globals'
import { fastify } from 'fastify'
import { Gauge, Registry } from 'prom-client'
import { OrderExpiryError } from '../../../src/errors.ts'
import { registerMetrics, registerProbes } from '../../../src/http/probes.ts'
import { Heartbeat } from '../../../src/runtime/heartbeat.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const up = async () => {}
const down = () => Promise.reject(new OrderExpiryError('REDIS_UNAVAILABLE', 'connection refused'))
const never = new Promise<never>(() => {})

const servers: { close(): Promise<unknown> }[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())))

async function createProbes(
  options: {
    phase?: 'starting' | 'running' | 'stopping'
    redis?: () => Promise<unknown>
    brakeFailure?: OrderExpiryError
    workerFailure?: OrderExpiryError
    metrics?: Registry
  } = {},
) {
  const { phase = 'running', redis = up, brakeFailure, workerFailure, metrics = new Registry() } = options
  const server = fastify()
  servers.push(server)
  const clock = new FakeClock()
  const heartbeats = ['worker', 'sweeper'].map((name) => new Heartbeat({ name, clock }))
  const loops = () => (phase === 'running' ? heartbeats : [])
  const vitals = { phase, loops, pingRedis: redis, pingStore: up, brakeFailure, workerFailure, clock }
  registerProbes(server, { vitals })
  registerMetrics(server, { metrics, clock })
  const base = await server.listen({ host: '127.0.0.1', port: 0 })
  const get = async (path: string) => {
    const answer = await fetch(base + path)
    return { code: answer.status, body: await answer.json() }
  }
  return { get, base, vitals, clock, heartbeats }
}

describe('/livez', () => {
  test.each(['starting', 'running', 'stopping'] as const)('is green while %s, whatever is down', async (phase) => {
    const { get } = await createProbes({ phase, redis: () => never })
    expect(await get('/livez')).toEqual({ code: 200, body: { status: 'ok' } })
  })

  test('is green as long as no loop has been silent for more than 45 seconds', async () => {
    const { get, clock } = await createProbes()
    await clock.advance(45_000)
    expect(await get('/livez')).toEqual({ code: 200, body: { status: 'ok' } })
  })

  test('is red when a loop has been silent for longer, and names it and no other', async () => {
    const { get, clock, heartbeats } = await createProbes()
    await clock.advance(35_000)
    heartbeats[1]?.beat()
    await clock.advance(10_600)
    expect(await get('/livez')).toEqual({
      code: 503,
      body: { status: 'stuck', loops: [{ name: 'worker', silentForSeconds: 46 }] },
    })
    heartbeats[0]?.beat()
    expect(await get('/livez')).toEqual({ code: 200, body: { status: 'ok' } })
  })

  test('names every loop that is stuck', async () => {
    const { get, clock } = await createProbes()
    await clock.advance(90_000)
    expect((await get('/livez')).body).toMatchObject({ loops: [{ name: 'worker' }, { name: 'sweeper' }] })
  })

  test.each(['starting', 'stopping'] as const)('knows no stuck loop while %s, which takes its time', async (phase) => {
    const { get, clock } = await createProbes({ phase })
    await clock.advance(300_000)
    expect((await get('/livez')).code).toBe(200)
  })
})

describe('/readyz', () => {
  const ok = [
    { name: 'redis', status: 'ok' },
    { name: 'store', status: 'ok' },
    { name: 'brake', status: 'ok' },
    { name: 'worker', status: 'ok' },
  ]

  test('is green when all is up', async () => {
    expect(await (await createProbes()).get('/readyz')).toEqual({
      code: 200,
      body: { status: 'ok', phase: 'running', checks: ok },
    })
  })

  test.each(['starting', 'stopping'] as const)('is red while %s, even if all is up', async (phase) => {
    expect(await (await createProbes({ phase })).get('/readyz')).toEqual({
      code: 503,
      body: { status: 'unavailable', phase, checks: ok },
    })
  })

  test('is red when something is down, and says what and why', async () => {
    const { code, body } = await (await createProbes({ redis: down })).get('/readyz')
    expect(code).toBe(503)
    expect(body).toMatchObject({
      status: 'unavailable',
      checks: [
        { name: 'redis', status: 'unavailable', reason: 'REDIS_UNAVAILABLE' },
        { name: 'store', status: 'ok' },
        { name: 'brake', status: 'ok' },
        { name: 'worker', status: 'ok' },
      ],
    })
  })

  test('is red while the state of the brake is not known, and says why in the code of Redis, not in its words', async () => {
    const cause = Object.assign(new Error("NOPERM No permissions to access a key of user 'x'"), { name: 'ReplyError' })
    const brakeFailure = new OrderExpiryError('REDIS_REFUSED', 'Redis at 10.0.0.1 refuses', { cause })
    const { code, body } = await (await createProbes({ brakeFailure })).get('/readyz')
    expect(code).toBe(503)
    const brake = { name: 'brake', status: 'unavailable', reason: 'REDIS_REFUSED (NOPERM)' }
    const checks = [{ status: 'ok' }, { status: 'ok' }, brake, { status: 'ok' }]
    expect(body).toMatchObject({ status: 'unavailable', checks })
  })

  test('is red while Redis answers, but does not let the worker do its work', async () => {
    const cause = Object.assign(new Error("CROSSSLOT Keys in request don't hash to the same slot"), {
      name: 'ReplyError',
    })
    const workerFailure = new OrderExpiryError('REDIS_REFUSED', 'Redis at 10.0.0.1 refuses', { cause })
    const { code, body } = await (await createProbes({ workerFailure })).get('/readyz')
    const worker = { name: 'worker', status: 'unavailable', reason: 'REDIS_REFUSED (CROSSSLOT)' }
    const checks = [{ status: 'ok' }, { status: 'ok' }, { status: 'ok' }, worker]
    expect([code, body]).toMatchObject([503, { status: 'unavailable', checks }])
  })

  test('waits two seconds at most for something that does not answer', async () => {
    const asked = deferred()
    const redis = () => {
      asked.resolve()
      return never
    }
    const { get, clock } = await createProbes({ redis })
    const answer = get('/readyz')
    await asked.promise
    await clock.advance(2_000)
    const { code, body } = await answer
    expect(code).toBe(503)
    expect(body).toMatchObject({
      checks: [
        { status: 'unavailable', reason: expect.stringContaining('2000 ms') },
        { status: 'ok' },
        { status: 'ok' },
        { status: 'ok' },
      ],
    })
    expect(clock.sleeping).toEqual([])
  })
})

describe('many who ask at once', () => {
  test('share one look, which is kept for a second', async () => {
    let looks = 0
    const { get, clock } = await createProbes({
      redis: async () => {
        looks++
      },
    })
    const answers = await Promise.all(Array.from({ length: 200 }, () => get('/readyz')))
    expect(answers.filter(({ code }) => code === 200)).toHaveLength(200)
    expect(looks).toBe(1)
    await clock.advance(1_000)
    await get('/readyz')
    expect(looks).toBe(2)
  })

  test('are told at once that the process stops', async () => {
    const { get, vitals } = await createProbes()
    expect((await get('/readyz')).code).toBe(200)
    vitals.phase = 'stopping'
    expect((await get('/readyz')).code).toBe(503)
  })

  test('share one page of metrics, which is kept for a second', async () => {
    const metrics = new Registry()
    let scrapes = 0
    new Gauge({
      name: 'scrapes',
      help: 'of this page',
      registers: [metrics],
      collect() {
        this.set(++scrapes)
      },
    })
    const { base, clock } = await createProbes({ metrics })
    const scrape = async () => (await fetch(`${base}/metrics`)).text()
    const pages = await Promise.all(Array.from({ length: 200 }, scrape))
    expect(new Set(pages).size).toBe(1)
    expect(pages[0]).toContain('scrapes 1')
    await clock.advance(2_000)
    expect(await scrape()).toContain('scrapes 2')
  })
})
