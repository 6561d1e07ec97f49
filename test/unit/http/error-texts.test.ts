import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type FastifyInstance, fastify } from 'fastify'
import { registerApi } from '../../../src/http/api/api.ts'
import { registerOpenApi } from '../../../src/http/api/openapi.ts'
import { frontOf } from '../../../src/http/front.ts'
import { asHttpError, registerProblems, sendProblem } from '../../../src/http/problem.ts'
import { EventBus } from '../../../src/observe/events.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

/* What is refused before anything is asked of Redis: each text names what the caller's own request names. */

let server: FastifyInstance
beforeAll(async () => {
  server = fastify({
    routerOptions: { maxParamLength: 16_384 },
    frameworkErrors: (error, request, reply) => void sendProblem(asHttpError(error), request, reply),
  })
  registerProblems(server)
  const front = frontOf({
    PUBLIC_URL: undefined,
    TRUSTED_PROXY: undefined,
    TRUSTED_PROXY_USER_HEADER: undefined,
    TRUSTED_PROXY_OPERATORS: undefined,
  })
  await registerOpenApi(server, { version: '1', front, hasTokens: false, admit: () => {} })
  server.get('/livez', async () => 'ok')
  const untouched = {} as never
  await registerApi(server, {
    admit: () => {},
    vitals: { phase: 'ready' } as never,
    client: untouched,
    recordsOrders: false,
    events: new EventBus(),
    clock: new FakeClock(),
    requestsPerSecond: undefined,
  })
})
afterAll(() => server.close())

async function ask(method: string, url: string, body?: unknown, type = 'application/json') {
  const payload = typeof body === 'string' ? body : JSON.stringify(body)
  const headers = body === undefined ? {} : { 'content-type': type }
  return server.inject({ method: method as 'GET', url, headers, ...(body !== undefined && { payload }) })
}

const ORDER = '/v1/orders/a'
const EXPECTED_TIME = 'expected epoch milliseconds or ISO 8601 with an offset'

describe('a refusal names', () => {
  test.each<[what: string, method: string, url: string, body: unknown, detail: RegExp]>([
    [
      'a field of a wrong type',
      'PUT',
      ORDER,
      { deadline: true },
      new RegExp(`^deadline: ${EXPECTED_TIME}, given true$`),
    ],
    ['each of them', 'PUT', ORDER, { deadline: [], timeout: 5 }, /^deadline: .*given a list; timeout: .*given 5$/],
    ['allowPast', 'PUT', ORDER, { allowPast: 'yes' }, /^allowPast: expected true or false, given "yes"$/],
    [
      'an unknown field',
      'PUT',
      ORDER,
      { time_out: '1m' },
      /^time_out: unknown field; expected deadline, timeout, allo/,
    ],
    ['a value', 'PUT', ORDER, { deadline: 'soon' }, new RegExp(`^deadline: ${EXPECTED_TIME}, given "soon"$`)],
    ['the field for durations', 'PUT', ORDER, { deadline: '15m' }, /^deadline: .*; a duration goes into timeout$/],
    ['a time-out', 'PATCH', ORDER, { timeout: 'soon' }, /^timeout: expected a duration such as .*, given "soon"$/],
    ['a time-out that is too long', 'PUT', ORDER, { timeout: '400d' }, /^timeout: .*over a year ahead$/],
    ['the permission', 'PUT', ORDER, { deadline: 1e12 }, /^deadline: .*\("allowPast": true permits it\)$/],
    ['both fields', 'PUT', ORDER, { deadline: 1, timeout: '1m' }, /^expected deadline or timeout, given both$/],
    ['neither field', 'PATCH', ORDER, {}, /^expected deadline or timeout, given neither$/],
    ['the missing body', 'PATCH', ORDER, undefined, /^body: expected a JSON object such as .*, given none$/],
    ['the missing body of a batch', 'POST', '/v1/orders/batch', undefined, /^body: .*"orders".*, given none$/],
    ['a body that is a list', 'PUT', ORDER, [], /^body: expected a JSON object .*, given a list$/],
    ['a body that is a text', 'PUT', ORDER, '"x"', /^body: expected a JSON object .*, given "x"$/],
    ['a body that is no JSON', 'PUT', ORDER, '{"deadline', /^body: expected JSON/],
    ['an empty batch', 'POST', '/v1/orders/batch', { orders: [] }, /^orders: expected 1 to 1000 orders, given 0$/],
    [
      'a batch that is none',
      'POST',
      '/v1/orders/batch',
      { orders: 'a' },
      /^orders: expected a list of orders, given "a"$/,
    ],
    [
      'the id in the path',
      'PUT',
      `/v1/orders/${'x'.repeat(201)}`,
      {},
      /^id: expected at most 200 bytes, given 201 bytes$/,
    ],
    ['it however long it is', 'GET', `/v1/orders/${'x'.repeat(7_000)}`, undefined, /^id: expected at most 200 bytes, /],
    ['it when reading', 'GET', '/v1/orders/a%0Ab', undefined, /^id: expected no control characters/],
    ['it when explaining', 'GET', '/v1/orders/a%0Ab/explain', undefined, /^id: /],
    ['it when paying', 'POST', '/v1/orders/a%0Ab/paid', undefined, /^id: /],
    ['it when withdrawing', 'DELETE', '/v1/orders/a%0Ab', undefined, /^id: /],
    ['the address', 'GET', '/v1/orders/%zz', undefined, /^path: expected UTF-8, percent-encoded/],
    [
      'the setting, not the library',
      'POST',
      `${ORDER}/paid`,
      undefined,
      /^pay: expected an ORDER_STORE that .*; with your own/,
    ],
  ])('%s', async (_, method, url, body, detail) => {
    const answer = await ask(method, url, body)
    expect(answer.json()).toEqual(expect.objectContaining({ detail: expect.stringMatching(detail) }))
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
  })

  test('an order of a batch by its JSON pointer', async () => {
    const orders = [{ orderId: '' }, { orderId: 'a', timeout: 'x' }, { orderId: 'a', 'x/y~z': 1 }, { orderId: true }, 5]
    const { results } = (await ask('POST', '/v1/orders/batch', { orders })).json() as {
      results: { error: { detail: string } }[]
    }
    expect(results.map(({ error }) => error.detail)).toEqual([
      expect.stringMatching(/^\/orders\/0\/orderId: expected at least one character/),
      expect.stringMatching(/^\/orders\/1\/timeout: expected a duration/),
      expect.stringMatching(/^\/orders\/2\/x~1y~0z: unknown field; expected orderId, deadline/),
      expect.stringMatching(/^\/orders\/3\/orderId: expected a string or a whole number, given true$/),
      expect.stringMatching(/^\/orders\/4: expected a JSON object with an orderId, given 5$/),
    ])
  })

  test('the type that a body must have', async () => {
    expect((await ask('PUT', ORDER, 'a', 'text/csv')).json()).toMatchObject({
      status: 415,
      detail: 'Content-Type: expected application/json',
    })
  })
})

describe('a path that does not take a method', () => {
  test.each([
    ['POST', ORDER, 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS'],
    ['TRACE', ORDER, 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS'],
    ['GET', `${ORDER}/paid`, 'POST, OPTIONS'],
    ['PUT', `${ORDER}/explain`, 'GET, HEAD, OPTIONS'],
    ['DELETE', '/v1/forecast', 'GET, HEAD, OPTIONS'],
    ['POST', '/livez', 'GET, HEAD'],
    ['DELETE', '/openapi.json', 'GET, HEAD'],
  ])('answers %s %s with 405, and lists those it takes', async (method, url, allow) => {
    const answer = await ask(method, url)
    expect([answer.statusCode, answer.headers.allow]).toEqual([405, allow])
    expect(answer.json()).toMatchObject({ code: 'METHOD_NOT_ALLOWED', detail: `expected ${allow}, given ${method}` })
  })

  test.each([ORDER, '/livez'])('answers before the body is looked at: POST %s', async (url) => {
    expect((await ask('POST', url, '{"not JSON')).statusCode).toBe(405)
    expect((await ask('POST', url, 'a', 'text/csv')).statusCode).toBe(405)
  })

  test.each([
    [ORDER, 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS'],
    ['/v1/forecast', 'GET, HEAD, OPTIONS'],
  ])('OPTIONS %s lists them', async (url, allow) => {
    const answer = await ask('OPTIONS', url)
    expect([answer.statusCode, answer.headers.allow, answer.payload]).toEqual([204, allow, ''])
  })
})
