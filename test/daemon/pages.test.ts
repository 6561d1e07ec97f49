import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
const viewer = basic('ann', 'look-but-change-nothing')
const operator = basic('bob', 'act-as-an-operator')

/** Every route of the board that changes something, with what it wants. */
const MUTATIONS: [method: string, path: string, body: object][] = [
  ['PUT', 'queues/pause', {}],
  ['PUT', 'queues/resume', {}],
  ['POST', 'queues/Q/add', { name: 'check-payment', data: {}, options: {} }],
  ['PUT', 'queues/Q/retry/failed', {}],
  ['PUT', 'queues/Q/promote', {}],
  ['PUT', 'queues/Q/clean/completed', {}],
  ['PUT', 'queues/Q/pause', {}],
  ['PUT', 'queues/Q/resume', {}],
  ['PUT', 'queues/Q/concurrency', { concurrency: 1 }],
  ['PUT', 'queues/Q/rate-limit', { max: 1, duration: 1_000 }],
  ['PUT', 'queues/Q/rate-limit/release', {}],
  ['PUT', 'queues/Q/empty', {}],
  ['PUT', 'queues/Q/obliterate', { force: true }],
  ['PUT', 'queues/Q/job-schedulers/x/remove', {}],
  ['PATCH', 'queues/Q/job-schedulers/x', {}],
  ['PUT', 'queues/Q/job-schedulers/x/run', {}],
  ['PUT', 'queues/Q/order-page-1/retry', {}],
  ['PUT', 'queues/Q/order-page-1/clean', {}],
  ['PUT', 'queues/Q/order-page-1/promote', {}],
  ['PATCH', 'queues/Q/order-page-1/update-data', { jobData: {} }],
  ['PATCH', 'queues/Q/order-page-1/delay', { delay: 0 }],
  ['PATCH', 'queues/Q/order-page-1/priority', { priority: 1 }],
  ['PUT', 'queues/Q/order-page-1/remove-unprocessed-children', {}],
]
const FOR_NOBODY = /update-data|clean|empty|obliterate|concurrency|rate-limit|job-schedulers|priority|children/

let raw: RawQueue
let daemon: DaemonProcess
let url: string
let shop: OrderExpiry
beforeAll(async () => {
  raw = new RawQueue()
  daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    BOARD_USERS: 'ann:look-but-change-nothing:viewer,bob:act-as-an-operator:operator',
    BOARD_ENVIRONMENT: 'staging',
  })
  url = await daemon.url()
  shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  await shop.schedule({ orderId: 'page-1', deadline: '1h' })
})
afterAll(async () => {
  await shop.close()
  await daemon.stop()
  await raw.close()
})

function change(method: string, path: string, headers: Record<string, string>, body: object = {}): Promise<Response> {
  return fetch(`${url}/board/api/${path.replace('Q', raw.name)}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

test('these are all routes of the board that change something', async () => {
  const { appRoutes } = (await import('@bull-board/api/dist/routes.js' as string)) as {
    appRoutes: { api: { method: string; route: string }[] }
  }
  const known = appRoutes.api
    .filter(({ method }) => method !== 'get')
    .map(({ method, route }) => `${method.toUpperCase()} ${route}`)
  const pattern = (path: string) =>
    `/api/${path}`
      .replace('Q', ':queueName')
      .replace('/x', '/:schedulerId')
      .replace('order-page-1', ':jobId')
      .replace(/(retry|clean)\/(failed|completed)/, '$1/:queueStatus')
  expect(MUTATIONS.map(([method, path]) => `${method} ${pattern(path)}`).sort()).toEqual(known.sort())
})

describe('a viewer', () => {
  test.each(MUTATIONS)('is refused %s %s', async (method, path, body) => {
    const response = await change(method, path, viewer, body)
    expect([response.status, await response.json()]).toMatchObject([403, { code: 'FORBIDDEN' }])
  })

  test('has changed nothing, and is shown no buttons', async () => {
    expect(await raw.queue.isPaused()).toBe(false)
    expect((await shop.find('page-1'))?.check?.state).toBe('waiting')
    const { queues } = (await (await fetch(`${url}/board/api/queues`, { headers: viewer })).json()) as {
      queues: { readOnlyMode: boolean }[]
    }
    expect(queues.map(({ readOnlyMode }) => readOnlyMode)).toEqual([true])
  })
})

describe('an operator', () => {
  test.each(MUTATIONS.filter(([, path]) => FOR_NOBODY.test(path)))('is refused %s %s', async (method, path, body) => {
    expect((await change(method, path, operator, body)).status).toBe(403)
    expect((await shop.find('page-1'))?.check?.state).toBe('waiting')
  })

  test('pauses and resumes the queue, which is logged with the name', async () => {
    expect((await change('PUT', 'queues/Q/pause', operator)).status).toBe(200)
    expect(await raw.queue.isPaused()).toBe(true)
    expect(await daemon.until(({ action }) => action === 'pause')).toMatchObject({ by: 'bob', queue: raw.name })
    expect((await change('PUT', 'queues/Q/resume', operator)).status).toBe(200)
    expect(await raw.queue.isPaused()).toBe(false)
  })

  test('promotes a check, and the order store decides that it is too early', async () => {
    await shop.schedule({ orderId: 'early-1', deadline: '1h' })
    expect((await change('PUT', 'queues/Q/order-early-1/promote', operator)).status).toBe(204)
    expect(await daemon.until(({ action }) => action === 'promote')).toMatchObject({
      by: 'bob',
      jobId: 'order-early-1',
    })
    await eventually('it waits again', async () => {
      const found = await shop.find('early-1')
      return found?.check?.state === 'waiting' && found.order?.status === 'pending' ? true : undefined
    })
  })

  test('adds a check, under the id of its order and in the own name, whatever the request says', async () => {
    const data = { orderId: 'added-1', deadline: Date.now() + 3_600_000, by: 'eve' }
    const body = { name: 'check-payment', data, options: { jobId: 'wait' } }
    expect((await change('POST', 'queues/Q/add', operator, body)).status).toBe(200)
    expect((await raw.queue.getJob('order-added-1'))?.data).toEqual({ ...data, by: 'bob' })
    expect((await fetch(`${url}/board/api/queues/${raw.name}/wait`, { headers: operator })).status).toBe(404)
  })

  test('may do again what was given up, and not what has decided: that is evidence', async () => {
    await shop.schedule({ orderId: 'done-1', deadline: '1ms' })
    const before = await eventually('it is cancelled', async () => (await shop.find('done-1'))?.check?.finished)
    for (const path of ['queues/Q/order-done-1/retry', 'queues/Q/retry/completed']) {
      const response = await change('PUT', path, operator)
      expect([response.status, await response.json()]).toMatchObject([
        403,
        { message: expect.stringMatching(/evidence/) },
      ])
    }
    expect((await change('PUT', 'queues/Q/retry/failed', operator)).status).toBe(200)
    expect((await shop.find('done-1'))?.check?.finished).toEqual(before)
    await daemon.until(({ action }) => action === 'retry all')
    expect(daemon.logs.filter(({ action }) => action === 'retry')).toEqual([]) // it was refused
  })

  test('is shown buttons', async () => {
    const { queues } = (await (await fetch(`${url}/board/api/queues`, { headers: operator })).json()) as {
      queues: { readOnlyMode: boolean }[]
    }
    expect(queues.map(({ readOnlyMode }) => readOnlyMode)).toEqual([false])
  })

  test.each([
    [{ origin: 'https://evil.example' }],
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ origin: 'null' }],
  ])('is not made to act by another site: %j', async (headers) => {
    expect((await change('PUT', 'queues/Q/pause', { ...operator, ...headers })).status).toBe(403)
    expect(await raw.queue.isPaused()).toBe(false)
  })

  test('is not kept from acting by the page itself', async () => {
    const headers = { ...operator, origin: url, 'sec-fetch-site': 'same-origin' }
    expect((await change('PUT', 'queues/Q/resume', headers)).status).toBe(200)
  })
})

describe('whoever has no user', () => {
  test.each(['/', '/board', '/board/', '/board/api/queues', '/board/static/js/main.js', '/orders/page-1'])(
    'is refused %s',
    async (path) => {
      for (const headers of [
        {},
        basic('ann', 'act-as-an-operator'),
        basic('eve', 'look-but-change-nothing'),
        { authorization: 'Bearer look-but-change-nothing' },
      ]) {
        const response = await fetch(`${url}${path}`, { headers: headers as Record<string, string> })
        expect([response.status, response.headers.get('www-authenticate')]).toEqual([
          401,
          expect.stringContaining('Basic'),
        ])
      }
    },
  )

  test.each([
    '/board/static/../../../package.json',
    '/board/static/..%2f..%2fpackage.json',
    '/board/static/%2e%2e/index.ejs',
    '/docs/static/..%2fpackage.json',
  ])('nor anybody else, gets a file that is not to be served: %s', async (path) => {
    const { request } = await import('node:http')
    const status = await new Promise<number>((resolve, reject) => {
      request(new URL(url), { path, headers: operator }, (response) => resolve(response.resume().statusCode ?? 0))
        .on('error', reject)
        .end()
    })
    expect([400, 403, 404]).toContain(status)
  })
})

describe('the pages', () => {
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`, { headers: viewer })
    return { status: response.status, text: await response.text() }
  }

  test('the overview shows what is to come and what was decided', async () => {
    await shop.schedule({ orderId: 'seen-1', deadline: Date.now() + 50 })
    await eventually('it is cancelled', async () => (await shop.find('seen-1'))?.check?.finished)
    await eventually('it is on the page', async () => /cancelled [12], kept 0/.test((await get('/')).text) || undefined)
    const { status, text } = await get('/')
    expect(status).toBe(200)
    expect(text.match(/<svg/g)).toHaveLength(3)
    expect(text).toContain('staging')
    expect(text).toContain('Order store')
    expect(text).not.toContain('cannot be read now')
  })

  test("the explanation tells an order's story, whatever its id", async () => {
    const evil = '<script>alert(1)</script>'
    await shop.schedule({ orderId: evil, deadline: '1h' })
    const { status, text } = await get(`/orders/${encodeURIComponent(evil)}`)
    expect([status, text]).toEqual([200, expect.stringContaining('Waiting: it will be cancelled')])
    expect(text).toContain('&#60;script&#62;')
    expect(text).not.toContain('<script>')
  })

  test("the board links to it, and shows nothing of a job that may be a person's", async () => {
    await raw.queue.add(
      'check-payment',
      { orderId: 'raw-1', deadline: Date.now() + 3_600_000, email: 'ann@example.com' },
      { delay: 3_600_000, jobId: 'raw-job-1' },
    )
    const answer = await fetch(`${url}/board/api/queues/${raw.name}/raw-job-1`, { headers: viewer })
    const text = await answer.text()
    expect(answer.status).toBe(200)
    expect(text).toContain('/orders/raw-1')
    expect(text).not.toContain('ann@example.com')
  })

  test('the board lists jobs that name no order, and not a million at once', async () => {
    await raw.queue.add('check-payment', { orderId: '\ud800' }, { delay: 3_600_000, jobId: 'raw-job-2' })
    const list = (jobs: number) =>
      fetch(`${url}/board/api/queues?activeQueue=${raw.name}&status=delayed&page=1&jobsPerPage=${jobs}`, {
        headers: viewer,
      })
    const listed = await list(100)
    expect([listed.status, await listed.text()]).toEqual([200, expect.stringContaining('raw-job-2')])
    expect((await list(1_000_000)).status).toBe(400)
  })

  test('metrics have what the pages show, and nothing of a single order', async () => {
    const { text } = await get('/metrics')
    for (const name of [
      'check_lateness_seconds_bucket',
      'settle_lateness_seconds_count 2',
      'jobs{state="delayed"}',
      'upcoming_checks{within="60m"}',
      'queue_paused 0',
      'queue_up 1',
      'store_up 1',
      'loop_silent_seconds{loop="worker"}',
      'build_info{version="',
      'batch_size_checks_sum',
    ]) {
      expect(text).toContain(`order_expiry_${name}`)
    }
    expect(text).toContain('nodejs_eventloop_lag_seconds')
    expect(text).not.toMatch(/page-1|seen-1/)
  })
})

describe('a browser that is refused', () => {
  const CHROME = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
  const get = async (path: string, headers: Record<string, string> = viewer) => {
    const response = await fetch(`${url}${path}`, { headers: { accept: CHROME, ...headers } })
    const { status, headers: answered } = response
    return {
      status,
      type: answered.get('content-type'),
      policy: answered.get('content-security-policy'),
      text: await response.text(),
    }
  }

  test.each([
    [400, '/orders/%zz', viewer],
    [400, `/orders/${'x'.repeat(201)}`, viewer],
    [401, '/', {}],
    [401, '/board', basic('ann', 'wrong')],
    [404, '/nowhere?<i>', viewer],
    [404, '/guide/nothing', viewer],
    [404, '/guide/..%2f..%2fpackage.json', viewer],
  ])('reads a page: %i %s', async (status, path, headers) => {
    const answer = await get(path, headers as Record<string, string>)
    expect(answer).toMatchObject({
      status,
      type: 'text/html; charset=utf-8',
      policy: expect.stringContaining("'none'"),
    })
    expect(answer.text).toMatch(/<title>\d{3} [^<]+ – order-expiry<\/title>/)
    expect(answer.text).toContain('staging')
    expect(answer.text).not.toMatch(/<i>|<script|page-1/)
  })

  test.each(['/v1/orders/x/y/z', '/board/api/queues/none/x/y'])(
    'gets JSON of what programs ask for: %s',
    async (path) => {
      expect((await get(path)).type).toMatch(/^application\/problem\+json/)
    },
  )

  test('and whoever asks for JSON, or for anything, gets JSON', async () => {
    for (const accept of ['application/json', '*/*']) {
      expect((await get('/nowhere', { accept })).type).toMatch(/^application\/problem\+json/)
    }
  })

  test('finds each alert in the runbook that the server has', async () => {
    const { status, text } = await get('/guide/runbook')
    expect(status).toBe(200)
    for (const anchor of ['orderexpiryredisdown', 'orderexpirystoredown']) expect(text).toContain(`id="${anchor}"`)
    expect(text).not.toMatch(/href="[^"#]*\.md/)
  })
})

test('what an operator asks for while Redis is frozen is refused, and not done when it is back', async () => {
  const redis = await startRedis()
  const frozen = await DaemonProcess.start({ REDIS_URL: redis.url, BOARD_USERS: 'bob:act-as-an-operator:operator' })
  const queue = new RawQueue(redis.url, 'check-payment')
  closing.push(
    () => redis.stop(),
    () => frozen.stop(),
    () => queue.close(),
  )
  const at = await frozen.url()
  process.kill(redis.pid, 'SIGSTOP')
  try {
    const ask = (method: string, path: string) => fetch(`${at}/board/api/${path}`, { method, headers: operator })
    // What was sent before anybody could know may be done; it is answered all the same.
    expect((await ask('PUT', 'queues/check-payment/resume')).status).toBeGreaterThanOrEqual(500)
    await eventually('it is known', async () => (await ask('GET', 'queues')).status === 503)
    expect((await ask('PUT', 'queues/check-payment/pause')).status).toBe(503)
  } finally {
    process.kill(redis.pid, 'SIGCONT')
  }
  await eventually('it is back', async () => (await fetch(`${at}/readyz`)).status === 200)
  await eventually(
    'the board works',
    async () => (await fetch(`${at}/board/api/queues`, { headers: operator })).status === 200,
  )
  expect(await queue.queue.isPaused()).toBe(false)
})
