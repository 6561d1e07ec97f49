import { afterEach, describe, expect, test } from '@jest/globals'
import { fastify } from 'fastify'
import { OrderExpiryError } from '../../../src/errors.ts'
import { type Dependency, registerHealth } from '../../../src/http/health.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const up = async () => {}
const down = () => Promise.reject(new OrderExpiryError('REDIS_UNAVAILABLE', 'connection refused'))
const never = new Promise<never>(() => {})

const servers: { close(): Promise<unknown> }[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())))

async function createProbes(options: { phase?: 'starting' | 'running' | 'stopping'; redis?: Dependency['ping'] } = {}) {
  const { phase = 'running', redis = up } = options
  const server = fastify()
  servers.push(server)
  const clock = new FakeClock()
  const dependencies = [
    { name: 'redis', ping: redis },
    { name: 'store', ping: up },
  ]
  registerHealth(server, { phase: () => phase, dependencies, heartbeats: [], clock })
  const base = await server.listen({ host: '127.0.0.1', port: 0 })
  const get = async (path: string) => {
    const answer = await fetch(base + path)
    return { code: answer.status, body: await answer.json() }
  }
  return { get, clock }
}

describe('/livez', () => {
  test.each(['starting', 'running', 'stopping'] as const)('is green while %s, whatever is down', async (phase) => {
    const { get } = await createProbes({ phase, redis: () => never })
    expect(await get('/livez')).toEqual({ code: 200, body: { status: 'ok' } })
  })
})

describe('/readyz', () => {
  const ok = [
    { name: 'redis', status: 'ok' },
    { name: 'store', status: 'ok' },
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
      ],
    })
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
      checks: [{ status: 'unavailable', reason: expect.stringContaining('2000 ms') }, { status: 'ok' }],
    })
    expect(clock.sleeping).toEqual([])
  })
})
