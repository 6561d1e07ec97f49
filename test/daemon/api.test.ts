import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually, laterMillisecond } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

interface Answer {
  status: number
  headers: Headers
  body: Record<string, unknown> & { code?: string; detail?: string }
}

/** Sends JSON unless the body is a string, which goes as it is. */
async function send(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : {} }
}

const inAnHour = () => Math.floor(Date.now() / 1_000) * 1_000 + 3_600_000

describe('the API on loopback', () => {
  let raw: RawQueue
  let daemon: DaemonProcess
  let url: string
  let shop: OrderExpiry
  beforeAll(async () => {
    raw = new RawQueue()
    daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, LOG_LEVEL: 'debug' })
    url = await daemon.url()
    shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  })
  afterAll(async () => {
    await shop.close()
    await daemon.stop()
    await raw.close()
  })
  const api = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
    send(url, method, path, body, headers)

  test('PUT schedules: 201 new, 200 the same again, 409 another deadline, which PATCH moves', async () => {
    const deadline = inAnHour()
    const iso = new Date(deadline).toISOString()
    const first = await api('PUT', '/v1/orders/put-1', { deadline })
    expect([first.status, first.body]).toEqual([201, { orderId: 'put-1', result: 'scheduled', deadline: iso }])
    const again = await api('PUT', '/v1/orders/put-1', { deadline: iso })
    expect([again.status, again.body]).toEqual([200, { orderId: 'put-1', result: 'unchanged', deadline: iso }])
    const other = await api('PUT', '/v1/orders/put-1', { deadline: deadline + 1_000 })
    expect([other.status, other.body]).toMatchObject([409, { code: 'DEADLINE_CONFLICT', status: 409 }])
    expect(other.body.detail).toContain(iso)
    const moved = await api('PATCH', '/v1/orders/put-1', { deadline: deadline + 1_000 })
    expect([moved.status, moved.body.result]).toEqual([200, 'rescheduled'])
    expect((await shop.find('put-1'))?.check?.deadline?.getTime()).toBe(deadline + 1_000)
  })

  test.each([[{ timeout: '15m' }], [{}], [undefined]])(
    'PUT with %j is the same when it is sent again',
    async (body) => {
      const path = `/v1/orders/again-${JSON.stringify(body ?? 'none').replace(/\W/g, '')}`
      const first = await api('PUT', path, body)
      expect(first.status).toBe(201)
      await laterMillisecond()
      const again = await api('PUT', path, body)
      expect([again.status, again.body]).toEqual([200, { ...first.body, result: 'unchanged' }])
      expect((await api('PUT', path, { timeout: '16m' })).status).toBe(409)
    },
  )

  test('GET shows the check and the record; DELETE withdraws; then there is nothing', async () => {
    await api('PUT', '/v1/orders/get-1', { timeout: '1h' })
    const { status, body } = await api('GET', '/v1/orders/get-1')
    expect([status, body]).toMatchObject([
      200,
      {
        orderId: 'get-1',
        check: { jobId: 'order-get-1', state: 'waiting', attempts: 0 },
        order: { status: 'pending' },
      },
    ])
    expect(await api('DELETE', '/v1/orders/get-1')).toMatchObject({
      status: 200,
      body: { orderId: 'get-1', result: 'withdrawn' },
    })
    expect(await api('DELETE', '/v1/orders/never')).toMatchObject({ status: 404, body: { code: 'ORDER_UNKNOWN' } })
    expect(await api('GET', '/v1/orders/never')).toMatchObject({ status: 404, body: { code: 'ORDER_UNKNOWN' } })
    expect(await api('PATCH', '/v1/orders/never', { timeout: '1h' })).toMatchObject({ status: 404 })
  })

  test('POST paid keeps an order; too late it says so, and the explanation why', async () => {
    await api('PUT', '/v1/orders/paid-1', { timeout: '1h' })
    // Many clients say so of every request, also of one without a body.
    const json = { 'content-type': 'application/json' }
    expect(await api('POST', '/v1/orders/paid-1/paid', undefined, json)).toMatchObject({
      status: 200,
      body: { result: 'paid' },
    })
    expect(await api('DELETE', '/v1/orders/paid-1')).toMatchObject({ status: 409, body: { code: 'ORDER_SETTLED' } })
    await api('PUT', '/v1/orders/late-1', { timeout: '50ms' })
    await eventually('it is cancelled', async () => (await shop.find('late-1'))?.check?.finished)
    const before = await api('GET', '/v1/orders/late-1/explain')
    expect(before.body.verdict).toMatch(
      /^Cancelled .*, because it was still unpaid \(pending\) \d+ m?s after its payment deadline/,
    )
    const { cancelledAt, deadline } = (await shop.find('late-1'))?.order ?? {}
    for (const _ of ['once', 'again']) {
      expect(await api('POST', '/v1/orders/late-1/paid')).toMatchObject({
        status: 409,
        body: {
          code: 'ORDER_ALREADY_CANCELLED',
          status: 409,
          orderId: 'late-1',
          cancelledAt: cancelledAt?.toISOString(),
          deadline: deadline?.toISOString(),
        },
      })
    }
    const { body } = await api('GET', '/v1/orders/late-1/explain')
    expect(body).toMatchObject({
      code: 'PAID_AFTER_CANCELLATION',
      verdict: expect.stringMatching(/order\.paid_late tells of it, \d+-\d+\.$/),
    })
    const whats = (body.story as { what: string }[]).map(({ what }) => what)
    // Within the same millisecond or so as the deadline, by another clock.
    expect(whats).toContain('check begun')
    expect(whats.filter((what) => what !== 'check begun')).toEqual([
      'check scheduled',
      'payment deadline',
      expect.stringMatching(/^decided by .*: cancelled, the store said: status pending$/),
      'cancelled, according to the order store',
      expect.stringMatching(/^event order\.cancelled written, /),
      'paid, according to the order store',
      expect.stringMatching(/^event order\.paid_late written, /),
      'now: status cancelled, according to the order store',
    ])
  })

  test('what a terminal would obey is escaped in JSON', async () => {
    const answer = await fetch(`${url}/v1/orders/%E2%80%AEabc`)
    const text = await answer.text()
    expect(text).toContain('\\u202eabc')
    expect(JSON.parse(text).detail).toContain('\u202eabc')
  })

  test('PUT again after the decision is answered like before, and the evidence stays', async () => {
    const deadline = Date.now() + 50
    await api('PUT', '/v1/orders/decided-1', { deadline })
    const before = await eventually('it is cancelled', async () => (await shop.find('decided-1'))?.check?.finished)
    const again = await api('PUT', '/v1/orders/decided-1', { deadline })
    expect([again.status, again.body]).toMatchObject([200, { result: 'unchanged', status: 'cancelled' }])
    expect(await api('PUT', '/v1/orders/decided-1', { timeout: '1h' })).toMatchObject({
      status: 409,
      body: { code: 'ORDER_SETTLED' },
    })
    expect((await shop.find('decided-1'))?.check?.finished).toEqual(before)
  })

  test('a batch with time-outs is the same when it is sent again', async () => {
    const orders = ['again-b-1', 'again-b-2'].map((orderId) => ({ orderId, timeout: '15m' }))
    const resultsOf = async () => (await api('POST', '/v1/orders/batch', { orders })).body.results
    expect(await resultsOf()).toMatchObject([{ result: 'scheduled' }, { result: 'scheduled' }])
    await laterMillisecond()
    expect(await resultsOf()).toMatchObject([{ result: 'unchanged' }, { result: 'unchanged' }])
    orders[1] = { orderId: 'again-b-2', timeout: '16m' }
    expect(await resultsOf()).toMatchObject([{ result: 'unchanged' }, { result: 'conflict' }])
  })

  test('JSON that is not in UTF-8, or compressed, is refused: an id would be another one', async () => {
    const bytes = Buffer.from('{"orders":[{"orderId":"caf\xe9","timeout":"1h"}]}', 'latin1')
    const post = async (headers: Record<string, string>) => {
      const response = await fetch(`${url}/v1/orders/batch`, { method: 'POST', headers, body: bytes })
      return [response.status, ((await response.json()) as { code: string }).code]
    }
    const json = { 'content-type': 'application/json' }
    expect(await post(json)).toEqual([400, 'INVALID_REQUEST'])
    expect(await post({ ...json, 'content-encoding': 'gzip' })).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
    expect(await post({ 'content-type': 'application/json; charset=utf-16' })).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
    const utf8 = { 'content-type': 'application/json; charset=utf-8' }
    expect((await api('PUT', '/v1/orders/caf%C3%A9', { timeout: '1h' }, utf8)).status).toBe(201)
  })

  test('an address that cannot be decoded is answered, logged and counted', async () => {
    const answer = await api('GET', '/v1/orders/%zz', undefined, { 'x-request-id': 'undecodable-1' })
    expect([answer.status, answer.headers.get('x-request-id')]).toEqual([400, 'undecodable-1'])
    expect(await daemon.until(({ requestId }) => requestId === 'undecodable-1')).toMatchObject({ status: 400 })
  })

  test('a batch has a result for each order, in their order; bad ones do not hold up the others', async () => {
    const deadline = inAnHour()
    await shop.schedule({ orderId: 'b-known', deadline })
    const orders = [
      { orderId: 'b-1', deadline },
      { orderId: 2, timeout: '1h' },
      { orderId: 'b-known', deadline },
      { orderId: 'b-known', deadline: deadline + 1_000 },
      { orderId: '', deadline },
      { orderId: 'b-3', deadline: 'tomorrow' },
      { orderId: 'b-4', deadline, colour: 'red' },
      'b-5',
      null,
      { orderId: 'b-6', deadline, timeout: '1h' },
      { orderId: 'b-7' },
    ]
    const { status, body } = await api('POST', '/v1/orders/batch', { orders })
    const results = body.results as { orderId?: string; result?: string; error?: { code: string } }[]
    expect(status).toBe(200)
    expect(results.map(({ orderId, result, error }) => [orderId, result ?? error?.code])).toEqual([
      ['b-1', 'scheduled'],
      ['2', 'scheduled'],
      ['b-known', 'unchanged'],
      ['b-known', 'conflict'],
      ['', 'INVALID_ORDER_ID'],
      ['b-3', 'INVALID_DEADLINE'],
      ['b-4', 'INVALID_REQUEST'],
      [undefined, 'INVALID_REQUEST'],
      [undefined, 'INVALID_REQUEST'],
      ['b-6', 'INVALID_DEADLINE'],
      ['b-7', 'scheduled'],
    ])
    expect((await shop.find('b-1'))?.check?.state).toBe('waiting')
    const many = Array.from({ length: 1_000 }, (_, n) => ({ orderId: `many-${n}`, deadline }))
    expect((await api('POST', '/v1/orders/batch', { orders: many })).body.results).toHaveLength(1_000)
    expect(await api('POST', '/v1/orders/batch', { orders: [...many, many[0]] })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_REQUEST' },
    })
    expect((await api('POST', '/v1/orders/batch', { orders: [] })).status).toBe(400)
  })

  test.each([
    ['slashes', 'a/b/c'],
    ['percent signs and colons', '50%:x'],
    ['emoji', '🛒-42'],
    ['the name of a route', 'batch'],
    ['200 bytes, each of them encoded', '%'.repeat(200)],
    ['a query and a fragment', 'a?b#c'],
  ])('an id with %s is that order', async (_, orderId) => {
    const path = `/v1/orders/${encodeURIComponent(orderId)}`
    expect((await api('PUT', path, { timeout: '1h' })).status).toBe(201)
    expect((await api('GET', path)).body.orderId).toBe(orderId)
    expect((await shop.find(orderId))?.check?.state).toBe('waiting')
  })

  test.each<[string, string, string, unknown, Record<string, string>, number, string]>([
    ['malformed JSON', 'PUT', '/v1/orders/x', '{"deadline": ', {}, 400, 'INVALID_REQUEST'],
    ['a list', 'PUT', '/v1/orders/x', [], {}, 400, 'INVALID_REQUEST'],
    ['a wrong type', 'PUT', '/v1/orders/x', { deadline: true }, {}, 400, 'INVALID_REQUEST'],
    ['a number as text', 'PUT', '/v1/orders/x', { deadline: '1795375176587' }, {}, 400, 'INVALID_DEADLINE'],
    ['seconds', 'PUT', '/v1/orders/x', { deadline: 1_795_375_176 }, {}, 400, 'INVALID_DEADLINE'],
    ['no offset', 'PUT', '/v1/orders/x', { deadline: '2027-01-01T00:00:00' }, {}, 400, 'INVALID_DEADLINE'],
    ['a time-out as deadline', 'PUT', '/v1/orders/x', { deadline: '15m' }, {}, 400, 'INVALID_DEADLINE'],
    ['a bad time-out', 'PUT', '/v1/orders/x', { timeout: '15 minutes' }, {}, 400, 'INVALID_DEADLINE'],
    ['both', 'PUT', '/v1/orders/x', { timeout: '15m', deadline: 1_795_375_176_587 }, {}, 400, 'INVALID_DEADLINE'],
    ['an unknown field', 'PUT', '/v1/orders/x', { dedline: 1 }, {}, 400, 'INVALID_REQUEST'],
    ['__proto__', 'PUT', '/v1/orders/x', '{"__proto__": {"timeout": "1h"}}', {}, 400, 'INVALID_REQUEST'],
    ['constructor', 'PUT', '/v1/orders/x', '{"constructor": {"prototype": {"a": 1}}}', {}, 400, 'INVALID_REQUEST'],
    [
      'another type',
      'PUT',
      '/v1/orders/x',
      'deadline=1',
      { 'content-type': 'text/plain' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['10 MB', 'POST', '/v1/orders/batch', `{"orders": ["${'x'.repeat(10_000_000)}"]}`, {}, 413, 'BODY_TOO_LARGE'],
    ['no new deadline', 'PATCH', '/v1/orders/x', {}, {}, 400, 'INVALID_DEADLINE'],
    ['no body', 'PATCH', '/v1/orders/x', undefined, {}, 400, 'INVALID_REQUEST'],
    ['a wrong method', 'POST', '/v1/orders/x', {}, {}, 405, 'METHOD_NOT_ALLOWED'],
    ['a wrong method', 'GET', '/v1/orders/x/paid', undefined, {}, 405, 'METHOD_NOT_ALLOWED'],
    ['a wrong method', 'DELETE', '/v1/forecast', undefined, {}, 405, 'METHOD_NOT_ALLOWED'],
    ['an unknown path', 'GET', '/v1/ordersx', undefined, {}, 404, 'NOT_FOUND'],
    ['a control character', 'PUT', '/v1/orders/a%00b', {}, {}, 400, 'INVALID_ORDER_ID'],
    ['a bad percent sign', 'PUT', '/v1/orders/50%zz', {}, {}, 400, 'INVALID_REQUEST'],
    ['201 bytes', 'PUT', `/v1/orders/${'x'.repeat(201)}`, {}, {}, 400, 'INVALID_ORDER_ID'],
    ['another site', 'PUT', '/v1/orders/x', {}, { origin: 'https://evil.example' }, 403, 'FORBIDDEN'],
    ['another site', 'POST', '/v1/orders/x/paid', undefined, { 'sec-fetch-site': 'cross-site' }, 403, 'FORBIDDEN'],
  ])(
    '%s: %s %s is refused as RFC 9457 wants it, and nothing is written',
    async (_, method, path, body, headers, status, code) => {
      const answer = await api(method, path, body, { ...headers, 'x-request-id': 'mine-1' })
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
      expect(answer.body).toMatchObject({ status, code, requestId: 'mine-1', type: `urn:order-expiry:error:${code}` })
      expect(answer.body.detail).not.toBe('')
      expect(answer.body.title).not.toBe('')
      expect(answer.status).toBe(status)
      expect(await shop.find('x')).toBeUndefined()
      if (status === 405) expect(answer.headers.get('allow')).toMatch(/[A-Z]/)
    },
  )

  test('the forecast counts what is to come, and what is due', async () => {
    const soon = Date.now() + 90_000
    const before = (await api('GET', '/v1/forecast')).body.within as Record<string, number>
    await shop.scheduleMany(Array.from({ length: 7 }, (_, n) => ({ orderId: `soon-${n}`, deadline: soon })))
    const { body } = await api('GET', '/v1/forecast')
    const minutes = body.minutes as number[]
    expect(minutes).toHaveLength(60)
    expect(minutes[1]).toBe(7)
    expect(body.within).toMatchObject({ '1m': before['1m'], '5m': (before['5m'] ?? 0) + 7 })
    expect(body.due).toBe(0)
  })

  test('it says what it takes and answers, for machines and for people', async () => {
    const spec = (await api('GET', '/openapi.json')).body as {
      openapi: string
      paths: Record<string, Record<string, object>>
    }
    expect(spec.openapi).toMatch(/^3\./)
    expect(
      Object.entries(spec.paths)
        .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`))
        .sort(),
    ).toEqual([
      'delete /v1/orders/{id}',
      'get /v1/forecast',
      'get /v1/orders/{id}',
      'get /v1/orders/{id}/explain',
      'patch /v1/orders/{id}',
      'post /v1/orders/batch',
      'post /v1/orders/{id}/paid',
      'put /v1/orders/{id}',
    ])
    const docs = await fetch(`${url}/docs`)
    expect([docs.status, docs.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])
  })

  test('answers carry security headers and the id of the request, which the log has, too', async () => {
    const response = await fetch(`${url}/v1/orders/logged-1`, {
      method: 'PUT',
      headers: { 'x-request-id': 'trace-77' },
    })
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-request-id': 'trace-77',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
    })
    const line = await daemon.until(({ requestId }) => requestId === 'trace-77')
    expect(line).toMatchObject({ method: 'PUT', route: '/v1/orders/:id', status: 201, by: 'anonymous' })
    const own = await fetch(`${url}/v1/orders/logged-1`, { headers: { 'x-request-id': 'no\tgood' } })
    expect(own.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('a name that is not of this machine is refused, so that no other site can be made to mean us', async () => {
    const ask = async (path: string, host: string) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1')
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      let answer = ''
      for await (const chunk of socket) answer += chunk
      return Number(answer.split(' ')[1])
    }
    for (const path of ['/v1/forecast', '/', '/board', '/orders/1']) {
      expect([path, await ask(path, 'evil.example'), await ask(path, 'localhost:3000')]).toEqual([path, 403, 200])
    }
    expect(await ask('/livez', 'evil.example')).toBe(200)
  })

  test('a body that does not come is not waited for, and a client that leaves costs nobody else anything', async () => {
    const port = Number(new URL(url).port)
    const head = `POST /v1/orders/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n`
    const leaving = connect(port, '127.0.0.1')
    leaving.write(`${head}{"orders": [`, () => leaving.destroy())
    leaving.once('error', () => {})
    const slow = connect(port, '127.0.0.1')
    slow.write(`${head}{"orders": [`)
    let answer = ''
    for await (const chunk of slow) answer += chunk
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect((await api('GET', '/v1/forecast')).status).toBe(200)
  })

  test('a client that leaves in the middle of a batch costs nothing, and sends it again', async () => {
    const deadline = inAnHour()
    const orders = Array.from({ length: 1_000 }, (_, n) => ({ orderId: `left-${n}`, deadline }))
    const leaving = new AbortController()
    const left = fetch(`${url}/v1/orders/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ orders }),
      signal: leaving.signal,
    }).then(
      ({ status }) => status,
      () => 'left',
    )
    await eventually('it is under way', async () => (await shop.find('left-0')) !== undefined)
    leaving.abort()
    expect(['left', 200]).toContain(await left)
    const { status, body } = await api('POST', '/v1/orders/batch', { orders })
    const results = (body.results as { result?: string }[]).map(({ result }) => result)
    expect([status, results.length]).toEqual([200, 1_000])
    expect(results.filter((result) => result !== 'scheduled' && result !== 'unchanged')).toEqual([])
  })
})

describe('with tokens', () => {
  let raw: RawQueue
  let daemon: DaemonProcess
  let url: string
  beforeAll(async () => {
    raw = new RawQueue()
    daemon = await DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: raw.name,
      HTTP_HOST: '0.0.0.0',
      API_TOKENS: 'shop:s3cret-token-of-1,till:s3cret-token-of-2,gone:s3cret-token-of-3:2020-01-31',
      API_RATE_LIMIT: '50',
      LOG_LEVEL: 'debug',
    })
    url = (await daemon.url()).replace('0.0.0.0', '127.0.0.1')
  })
  afterAll(async () => {
    await daemon.stop()
    await raw.close()
  })
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  test.each<[string, Record<string, string>, RegExp]>([
    ['no', {}, /^Bearer realm="order-expiry"$/],
    ['a wrong', bearer('s3cret-token-of-9'), /invalid_token/],
    ['an expired', bearer('s3cret-token-of-3'), /invalid_token/],
    ['an empty', { authorization: 'Bearer ' }, /^Bearer/],
    ["a board's", { authorization: `Basic ${btoa('shop:s3cret-token-of-1')}` }, /^Bearer/],
  ])('%s token is refused', async (_, headers, challenge) => {
    for (const [method, path] of [
      ['PUT', '/v1/orders/x'],
      ['GET', '/v1/forecast'],
      ['POST', '/v1/orders/batch'],
    ]) {
      const answer = await send(url, method as string, path as string, undefined, headers)
      expect([answer.status, answer.body.code]).toEqual([401, 'UNAUTHORIZED'])
      expect(answer.headers.get('www-authenticate')).toMatch(challenge)
    }
  })

  test('one of them is taken, whatever the name of the host, and the log says whose it was', async () => {
    const answer = await send(
      url,
      'PUT',
      '/v1/orders/t-1',
      { timeout: '1h' },
      { ...bearer('s3cret-token-of-1'), 'x-request-id': 'by-1' },
    )
    expect(answer.status).toBe(201)
    expect(await daemon.until(({ requestId }) => requestId === 'by-1')).toMatchObject({ by: 'shop' })
    expect(JSON.stringify(daemon.logs)).not.toContain('s3cret')
  })

  test('pages and board are closed without users, and metrics without a token of their own; probes are not', async () => {
    for (const path of ['/', '/board', '/board/api/queues', '/orders/1', '/metrics']) {
      expect((await fetch(`${url}${path}`)).status).toBe(403)
    }
    for (const path of ['/livez', '/readyz']) expect((await fetch(`${url}${path}`)).status).toBe(200)
  })

  test('who asks too often is told to wait, and nobody else', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => send(url, 'GET', '/v1/forecast', undefined, bearer('s3cret-token-of-1'))),
    )
    const limited = answers.filter(({ status }) => status === 429)
    expect(limited.length).toBeGreaterThan(50)
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(40)
    expect(limited[0]?.body).toMatchObject({ code: 'RATE_LIMITED', status: 429 })
    expect(Number(limited[0]?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await send(url, 'GET', '/v1/forecast', undefined, bearer('s3cret-token-of-2'))).status).toBe(200)
  })
})

describe('tokens with scopes', () => {
  let raw: RawQueue
  let daemon: DaemonProcess
  let url: string
  const scopes = { all: '', schedule: ':schedule', pay: ':pay', read: ':read', both: ':pay+read:2099-12-31' }
  const tokenOf = (name: string) => `token-of-the-one-called-${name}`
  beforeAll(async () => {
    raw = new RawQueue()
    daemon = await DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: raw.name,
      API_TOKENS: Object.entries(scopes)
        .map(([name, scope]) => `${name}:${tokenOf(name)}${scope}`)
        .join(),
    })
    url = await daemon.url()
  })
  afterAll(async () => {
    await daemon.stop()
    await raw.close()
  })
  const as = (name: string, requestId = 'none') => ({
    authorization: `Bearer ${tokenOf(name)}`,
    'x-request-id': requestId,
  })

  test.each<[method: string, path: string, body: unknown, scope: 'schedule' | 'pay' | 'read']>([
    ['PUT', '/v1/orders/s-1', { timeout: '1h' }, 'schedule'],
    ['PATCH', '/v1/orders/s-1', { timeout: '2h' }, 'schedule'],
    ['POST', '/v1/orders/batch', { orders: [{ orderId: 's-2', timeout: '1h' }] }, 'schedule'],
    ['GET', '/v1/orders/s-1', undefined, 'read'],
    ['HEAD', '/v1/orders/s-1', undefined, 'read'],
    ['GET', '/v1/orders/s-1/explain', undefined, 'read'],
    ['GET', '/v1/forecast', undefined, 'read'],
    ['DELETE', '/v1/orders/s-1', undefined, 'schedule'],
    ['POST', '/v1/orders/s-2/paid', undefined, 'pay'],
  ])('%s %s %j needs the scope %4$s, or a token without scopes', async (method, path, body, scope) => {
    const may = { all: true, schedule: scope === 'schedule', pay: scope === 'pay', read: scope === 'read' }
    for (const [name, isAllowed] of Object.entries({ ...may, both: scope !== 'schedule' }).reverse()) {
      if (method === 'DELETE' && isAllowed) await send(url, 'PUT', path, { timeout: '1h' }, as('all'))
      const { status, body: problem, headers } = await send(url, method, path, body, as(name))
      if (isAllowed) expect([name, status < 300]).toEqual([name, true])
      else {
        expect([name, status, headers.get('www-authenticate')]).toEqual([
          name,
          403,
          `Bearer realm="order-expiry", error="insufficient_scope", scope="${scope}"`,
        ])
        if (method !== 'HEAD') {
          expect(problem).toMatchObject({ code: 'FORBIDDEN', detail: expect.stringContaining(`the scope ${scope};`) })
        }
      }
    }
  })

  test('every change is an info line with the name of the token, the order and the result', async () => {
    const told = async (requestId: string) =>
      await daemon.until((line) => line.requestId === requestId && line.level === 'info')
    const change = async (method: string, path: string, requestId: string, body?: unknown, name = 'schedule') => {
      const { status } = await send(url, method, `/v1/orders/${path}`, body, as(name, requestId))
      expect([requestId, status < 300]).toEqual([requestId, true])
      return await told(requestId)
    }
    const deadline = inAnHour()
    const order = { by: 'schedule', orderId: 'i/1' }
    expect(await change('PUT', 'i%2F1', 'a-1', { deadline })).toMatchObject({ ...order, result: 'scheduled' })
    expect(await change('PUT', 'i%2F1', 'a-2', { deadline })).toMatchObject({ ...order, result: 'unchanged' })
    expect(await change('PATCH', 'i%2F1', 'a-3', { timeout: '2h' })).toMatchObject({ ...order, result: 'rescheduled' })
    expect(await change('POST', 'i%2F1/paid', 'a-4', undefined, 'both')).toMatchObject({
      by: 'both',
      orderId: 'i/1',
      result: 'paid',
      method: 'POST',
      route: '/v1/orders/:id/paid',
      status: 200,
    })
    await send(url, 'PUT', '/v1/orders/i-2', { timeout: '1h' }, as('all'))
    expect(await change('DELETE', 'i-2', 'a-5')).toMatchObject({ orderId: 'i-2', result: 'withdrawn' })
    const orders = [{ orderId: 'i-3' }, { orderId: 'i-4' }, { orderId: '' }]
    expect(await change('POST', 'batch', 'a-6', { orders })).toMatchObject({
      by: 'schedule',
      orders: 3,
      results: { scheduled: 2, failed: 1 },
    })
  })

  test('what was refused, or only read, is none', async () => {
    await send(url, 'GET', '/v1/orders/i-3', undefined, as('read', 'b-1'))
    await send(url, 'GET', '/v1/forecast', undefined, as('read', 'b-2'))
    await send(url, 'PUT', '/v1/orders/i-5', { timeout: 'soon' }, as('schedule', 'b-3'))
    await send(url, 'DELETE', '/v1/orders/i-6', undefined, as('schedule', 'b-4'))
    await send(url, 'PUT', '/v1/orders/i-5', { timeout: '1h' }, as('schedule', 'b-5'))
    await daemon.until(({ requestId }) => requestId === 'b-5')
    expect(daemon.logs.filter(({ requestId }) => /^b-[1-4]$/.test(String(requestId)))).toEqual([])
  })
})

test('while Redis is away the API says so, with a time to come back', async () => {
  const redis = await startRedis()
  const daemon = await DaemonProcess.start({ REDIS_URL: redis.url })
  try {
    const url = await daemon.url()
    await redis.stop()
    for (const [method, path, body] of [
      ['PUT', '/v1/orders/x', { timeout: '1h' }],
      ['POST', '/v1/orders/batch', { orders: [{ orderId: 'x', timeout: '1h' }] }],
      ['GET', '/v1/forecast', undefined],
      ['GET', '/v1/orders/x/explain', undefined],
    ] as const) {
      const answer = await send(url, method, path, body)
      expect([answer.status, answer.body.code]).toEqual([503, expect.stringMatching(/^REDIS_UNAVAILABLE|^STORE_/)])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
  } finally {
    expect(await daemon.stop()).toBe(0)
  }
})

test('requests under way are answered before the process ends, those that come then are sent elsewhere', async () => {
  const raw = new RawQueue()
  const daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name })
  const url = await daemon.url()
  const deadline = inAnHour()
  const batchOf = (n: number) => ({
    orders: Array.from({ length: 500 }, (_, index) => ({ orderId: `${n}-${index}`, deadline })),
  })
  const batches = Array.from({ length: 4 }, (_, n) => send(url, 'POST', '/v1/orders/batch', batchOf(n)))
  await eventually('they are under way', async () => (await raw.queue.getDelayedCount()) > 0)
  const ended = daemon.stop()
  const answers = await Promise.all(batches)
  expect(await ended).toBe(0)
  let answered = 0
  for (const { status, body } of answers) {
    if (status === 503) expect(body.code).toBe('STOPPING')
    else {
      answered += (body.results as { result?: string }[]).filter(({ result }) => result === 'scheduled').length
      expect(status).toBe(200)
    }
  }
  expect(answered).toBeGreaterThanOrEqual(500)
  expect(await raw.queue.getDelayedCount()).toBe(answered) // nothing was done that was not answered
  await raw.close()
})
