import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Queue } from 'bullmq'
import { OrderExpiry } from '../../src/index.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const HOUR = 3_600_000
const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
const viewer = basic('ann', 'look-but-do-not')
const operator = basic('bob', 'act-and-be-seen')
const PRIVATE = 'ann@buyer.example'
const TOKEN = 'a-token-of-the-shop-1'
/** A secret that is in every time of these years. */
const DIGITS = String(Date.now()).slice(0, 4)

interface Route {
  method: string
  route: string
}

let routes: Route[]
let raw: RawQueue
let keys: ReturnType<typeof namedQueue>['keys']
let daemon: DaemonProcess
let url: string
let shop: OrderExpiry
beforeAll(async () => {
  const { appRoutes } = (await import('@bull-board/api/dist/routes.js' as string)) as { appRoutes: { api: Route[] } }
  routes = appRoutes.api.map(({ method, route }) => ({ method: method.toUpperCase(), route }))
  raw = new RawQueue()
  keys = namedQueue({ name: raw.name }).keys
  daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    BOARD_USERS: 'ann:look-but-do-not:viewer,bob:act-and-be-seen:operator',
    API_TOKENS: `shop:${TOKEN}`,
    OTEL_EXPORTER_OTLP_HEADERS: `key=${DIGITS}`,
    SWEEP_EVERY: '1h',
    SWEEP_AHEAD: '2h',
  })
  url = await daemon.url()
  shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
})
afterAll(async () => {
  await shop.close()
  await daemon.stop()
  await raw.close()
})

async function ask(method: string, path: string, headers: Record<string, string>, body?: unknown) {
  const isChange = method !== 'GET'
  const response = await fetch(`${url}/board/api/${path}`, {
    method,
    headers: { ...headers, ...(isChange && { 'content-type': 'application/json' }) },
    ...(isChange && { body: JSON.stringify(body ?? {}) }),
  })
  const text = await response.text()
  return { status: response.status, text, json: text ? JSON.parse(text) : undefined }
}

const add = (body: unknown) => ask('POST', `queues/${raw.name}/add`, operator, body)

describe('what an operator adds is a check', () => {
  const name = 'check-payment'

  test("under our id, of the contract's fields only, and asked for by the operator", async () => {
    const deadline = Date.now() + HOUR
    const data = { orderId: 'add:1', deadline, by: 'somebody else', email: PRIVATE }
    const options = { jobId: 'wait', lifo: true, priority: 7, removeOnComplete: true, parent: { id: 'x', queue: 'y' } }
    const added = await add({ name, data, options })
    expect([added.status, added.json]).toMatchObject([200, { job: { id: 'order-add%3A1' }, status: 'delayed' }])
    const job = await raw.queue.getJob('order-add%3A1')
    expect(job).toMatchObject({ name, data: { orderId: 'add:1', deadline, by: 'bob' }, priority: 0 })
    expect(job?.data).not.toHaveProperty('email')
    expect(job?.opts).not.toHaveProperty('removeOnComplete')
    expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBeGreaterThanOrEqual(deadline - 1_000)
    expect(await daemon.until(({ action }) => action === 'add a job')).toMatchObject({
      by: 'bob',
      jobId: 'order-add%3A1',
    })
  })

  test.each([
    ['a delay', { orderId: 'add-2' }, { delay: HOUR }, HOUR],
    ['neither a delay nor a deadline', { orderId: 3 }, {}, 300_000],
  ])('due by %s', async (_, data, options, dueInMs) => {
    const { json } = await add({ name: '__default__', data, options })
    const { deadline } = (await raw.queue.getJob(json.job.id))?.data ?? {}
    expect(Math.abs(deadline - Date.now() - dueInMs)).toBeLessThan(10_000)
  })

  test.each([
    'wait',
    'active',
    'paused',
    'delayed',
    'limiter',
    'meta',
    'id',
    'events',
    'marker',
    'order-1:lock',
    'a:b:c',
    '1',
  ])('never under the id %s', async (jobId) => {
    const before = await raw.redis.type(keys.job(jobId))
    const { json } = await add({ name, data: { orderId: `not-${jobId}` }, options: { jobId } })
    expect(json.job.id).toMatch(/^order-not-/)
    expect(await raw.redis.type(keys.job(jobId))).toBe(before)
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ status: 'ok' })
  })

  test.each([
    ['another name', { name: 'mail', data: { orderId: '1' } }, 'UNKNOWN_JOB'],
    ['no data', { name }, 'INVALID_JOB'],
    ['data that is no object', { name, data: 'x' }, 'INVALID_JOB'],
    ['no order', { name, data: {} }, 'INVALID_JOB'],
    ['an order that is none', { name, data: { orderId: 'a\u0000b' } }, 'INVALID_JOB'],
    ['a long order id', { name, data: { orderId: 'x'.repeat(201) } }, 'INVALID_JOB'],
    ['a deadline in seconds', { name, data: { orderId: '1', deadline: 1_700_000_000 } }, 'INVALID_JOB'],
    ['a deadline years ahead', { name, data: { orderId: '1', deadline: '2999-01-01T00:00:00Z' } }, 'INVALID_JOB'],
    ['an endless delay', { name, data: { orderId: '1' }, options: { delay: 1e300 } }, 'INVALID_JOB'],
    ['a delay that is none', { name, data: { orderId: '1' }, options: { delay: 'soon' } }, 'INVALID_REQUEST'],
    ['options that are none', { name, data: { orderId: '1' }, options: 'x' }, 'INVALID_REQUEST'],
    ['no object', [1], 'INVALID_REQUEST'],
  ])('and not %s', async (_, body, code) => {
    const before = await raw.queue.getJobCounts()
    const refused = await add(body)
    expect([refused.status, refused.json]).toMatchObject([400, { code }])
    expect(await raw.queue.getJobCounts()).toEqual(before)
  })

  test('and not a second one, or one in the place of evidence', async () => {
    await shop.schedule({ orderId: 'twice', deadline: '1h' })
    const refused = await add({ name, data: { orderId: 'twice', deadline: Date.now() + 2 * HOUR } })
    expect([refused.status, refused.json]).toMatchObject([409, { code: 'DEADLINE_CONFLICT' }])
    await shop.schedule({ orderId: 'decided', deadline: '1ms' })
    const evidence = await eventually('it is decided', async () => (await shop.find('decided'))?.check?.finished)
    const again = await add({ name, data: { orderId: 'decided', deadline: Date.now() + HOUR } })
    expect([again.status, again.json]).toMatchObject([409, { detail: expect.stringContaining('evidence') }])
    expect((await shop.find('decided'))?.check?.finished).toEqual(evidence)
  })
})

describe('a route of a job', () => {
  const OTHER_KEYS = [
    ...['wait', 'active', 'paused', 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed', 'repeat'],
    ...['limiter', 'meta', 'id', 'events', 'marker', 'pc', 'de', 'stalled', 'stalled-check', 'priority', 'delay'],
    ...[
      'order-there:lock',
      'order-there:logs',
      'order-there:replacing',
      'metrics:completed',
      'a:b:c',
      'text',
      'nobody',
    ],
  ]
  const ofJob = () => routes.filter(({ route }) => route.includes(':jobId'))
  const pathTo = (route: string, jobId: string) =>
    route.replace('/api/', '').replace(':queueName', raw.name).replace(':jobId', encodeURIComponent(jobId))

  beforeAll(async () => {
    await shop.schedule({ orderId: 'there', deadline: '1h' })
    await raw.queue.addJobLog('order-there', 'a line')
    await raw.redis.set(keys.job('order-there:lock'), 'x')
    await raw.redis.set(keys.job('text'), 'x')
    await raw.redis.set(keys.job('limiter'), '0')
  })

  test.each(OTHER_KEYS)('finds no job under the key %s, and leaves it as it is', async (jobId) => {
    const before = await raw.redis.dump(keys.job(jobId))
    expect(ofJob().length).toBeGreaterThan(9)
    for (const { method, route } of ofJob()) {
      for (const who of [viewer, operator]) {
        const { status } = await ask(method, pathTo(route, jobId), who, { runAt: Date.now() + HOUR })
        const isRefused = method !== 'GET' && (who === viewer || /clean|data|priority|children/.test(route))
        expect([method, route, status]).toEqual([method, route, isRefused ? 403 : 404])
      }
    }
    expect(await raw.redis.dump(keys.job(jobId))).toEqual(before)
  })

  test.each(['wait', 'meta'])('and no page either: %s', async (jobId) => {
    const page = (id: string) => fetch(`${url}/board/queue/${raw.name}/${id}`, { headers: viewer })
    expect([(await page(jobId)).status, (await page('order-there')).status]).toEqual([404, 200])
  })

  test('says what is wrong where a key of another type stands in the place of a job', async () => {
    for (const state of ['failed', 'delayed'] as const) {
      await raw.redis.set(keys.job(`odd-${state}`), 'x')
      await raw.redis.zadd(keys[state], (Date.now() + HOUR) * 0x1000, `odd-${state}`)
    }
    const odd = await ask('PUT', `queues/${raw.name}/odd-failed/retry`, operator)
    expect([odd.status, odd.json]).toMatchObject([400, { code: 'INVALID_JOB' }])
    for (const all of ['promote', 'retry/failed']) {
      const { status } = await ask('PUT', `queues/${raw.name}/${all}`, operator)
      expect([all, status < 500]).toEqual([all, true])
    }
    for (const jobId of ['odd-failed', 'odd-delayed']) {
      for (const { method, route } of ofJob()) {
        const { status } = await ask(method, pathTo(route, jobId), operator, { runAt: Date.now() + HOUR })
        expect([method, route, status < 500]).toEqual([method, route, true])
      }
    }
    await raw.redis.zrem(keys.failed, 'odd-failed')
    await raw.redis.zrem(keys.delayed, 'odd-delayed')
  })

  test('says so if the job is not in the state that is needed', async () => {
    await raw.queue.pause()
    await raw.queue.add('check-payment', { orderId: 'waits' }, { jobId: 'waits' })
    for (const [method, path] of [
      ['PUT', 'waits/promote'],
      ['PUT', 'waits/retry'],
      ['PATCH', 'waits/delay'],
    ] as const) {
      const { status } = await ask(method, `queues/${raw.name}/${path}`, operator, { runAt: Date.now() + HOUR })
      expect([path, status]).toEqual([path, 400])
    }
    await raw.queue.remove('waits')
    await raw.queue.resume()
  })

  test.each([[Number.MAX_VALUE], [0], ['soon'], [undefined]])('moves no check to %s', async (runAt) => {
    const before = await raw.redis.zscore(keys.delayed, 'order-there')
    expect((await ask('PATCH', `queues/${raw.name}/order-there/delay`, operator, { runAt })).status).toBe(400)
    expect(await raw.redis.zscore(keys.delayed, 'order-there')).toBe(before)
  })

  test('does not follow a job that is its own parent', async () => {
    await raw.redis.hset(keys.job('order-there'), 'parent', '{}')
    const opts = JSON.stringify({ parent: { id: 'order-there', queue: `bull:${raw.name}` } })
    await raw.redis.hset(keys.job('order-there'), 'opts', opts)
    const { status, json } = await ask('GET', `queues/${raw.name}/order-there/flow`, viewer)
    expect([status, json]).toMatchObject([200, { isFlowNode: false }])
  })
})

test.each([
  'queues?activeQueue=%25',
  'queues?activeQueue=a&activeQueue=b',
  'queues?activeQueue=Q&status=%00',
  'queues?activeQueue=Q&status=nothing',
  'queues?activeQueue=Q&status=delayed&page=1e21',
  'queues?activeQueue=Q&status=delayed&page=0',
  'queues?activeQueue=Q&status=delayed&jobsPerPage=101',
  'queues?activeQueue=Q&status=delayed&jobsPerPage=x',
  'job-schedulers?queueName=%25E0',
])('a question that makes no sense is refused, and not answered with an error of ours: %s', async (path) => {
  expect((await ask('GET', path.replace('=Q', `=${raw.name}`), viewer)).status).toBe(400)
})

describe('what a producer or its worker has written', () => {
  let other: Queue
  const job = 'shop-job-1'
  beforeAll(async () => {
    other = new Queue(raw.name, { connection: raw.redis })
    await other.add(
      'check-payment',
      { orderId: 'masked', deadline: Date.now() + HOUR, email: PRIVATE, note: `token ${TOKEN}` },
      {
        jobId: job,
        delay: HOUR,
        deduplication: { id: PRIVATE },
        backoff: { type: PRIVATE },
        ...({ buyer: PRIVATE, key: TOKEN } as object),
      },
    )
    await other.addJobLog(job, `mailed ${PRIVATE} with ${TOKEN}`)
    await other.addJobLog(job, `2026-01-31T12:00:00.000Z check failed, again in 5 ms: ${PRIVATE}`)
    await other.addJobLog(job, '2026-01-31T12:00:00.000Z check failed, again in 5 ms: STORE_BUSY')
    await raw.redis.hset(keys.job(job), {
      stacktrace: JSON.stringify([`Error: ${PRIVATE} ${TOKEN}\n    at shop.js`]),
      failedReason: `no mail for ${PRIVATE}, ${TOKEN}`,
      progress: JSON.stringify({ mailing: PRIVATE }),
      returnvalue: JSON.stringify({ buyer: PRIVATE }),
      defa: PRIVATE,
    })
    await other.upsertJobScheduler(
      'nightly',
      { every: 24 * HOUR, startDate: Date.now() + HOUR },
      { name: `mail ${PRIVATE}`, data: { orderId: 'n', email: PRIVATE }, opts: { backoff: { type: PRIVATE } } },
    )
  })
  afterAll(async () => {
    await other.removeJobScheduler('nightly')
    await other.close()
  })

  test('is not shown to a viewer, by no route', async () => {
    const answers = new Map<string, string>()
    for (const { route } of routes.filter(({ method }) => method === 'GET')) {
      const path = route.replace('/api/', '').replace(':queueName', raw.name).replace(':jobId', job)
      const query = path === 'queues' ? `?activeQueue=${raw.name}&status=delayed&jobsPerPage=100` : ''
      const { status, text } = await ask('GET', `${path}${query}`, viewer)
      answers.set(path, text)
      expect([path, status]).toEqual([path, 200])
      expect([path, text]).toEqual([path, expect.not.stringContaining(PRIVATE)])
    }
    for (const path of ['queues', `queues/${raw.name}/${job}`])
      expect(answers.get(path)).toContain('"orderId":"masked"')
    expect(answers.get(`queues/${raw.name}/${job}/logs`)).toContain('again in 5 ms: STORE_BUSY')
    expect(answers.get('job-schedulers')).toContain('nightly')
  })

  test('is not shown to a viewer on the page that tells the story of its order', async () => {
    const failed = 'shop-job-2'
    await other.add(
      'check-payment',
      { orderId: 'given-up', deadline: Date.now() + HOUR },
      { jobId: failed, delay: HOUR },
    )
    await raw.redis
      .multi()
      .zrem(keys.delayed, failed)
      .zadd(keys.failed, Date.now(), failed)
      .hset(keys.job(failed), { failedReason: `no mail for ${PRIVATE}, ${TOKEN}`, finishedOn: Date.now() })
      .exec()
    const at = '2026-01-31T12:00:00.000Z'
    for (const line of [
      `mailed ${PRIVATE} with ${TOKEN}`,
      `${at} check failed, again in 5 ms: ${PRIVATE}`,
      `${at} check postponed by ${PRIVATE}`,
      `${at} check failed, again in 5 ms: STORE_BUSY`,
    ]) {
      await other.addJobLog(failed, line)
    }
    const page = async (headers: Record<string, string>) =>
      (await fetch(`${url}/orders/given-up?job=${failed}`, { headers })).text()
    const seen = await page(viewer)
    expect(seen).toContain('check given up: •••')
    expect(seen).toContain('again in 5 ms: STORE_BUSY')
    expect(seen).not.toContain(PRIVATE)
    expect(await page(operator)).toContain(`mailed ${PRIVATE} with [redacted]`)
  })

  test('shows no secret of ours to those who see it: on that page, to a token of the API, on the command line', async () => {
    const bearer = { authorization: `Bearer ${TOKEN}` }
    const env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, API_TOKENS: `shop:${TOKEN}` }
    const answers = [
      await (await fetch(`${url}/orders/given-up?job=shop-job-2`, { headers: operator })).text(),
      await (await fetch(`${url}/v1/orders/given-up/explain`, { headers: bearer })).text(),
      await (await fetch(`${url}/v1/orders/given-up`, { headers: bearer })).text(),
      (await runCli(['explain', 'given-up'], { env })).stdout,
      (await runCli(['show', 'given-up'], { env })).stdout,
    ]
    for (const answer of answers) {
      expect(answer).toContain(`no mail for ${PRIVATE}, [redacted]`)
      expect(answer).not.toContain(TOKEN)
    }
  })

  test('is shown to an operator, who has to find out what went wrong, without secrets and what may be personal', async () => {
    const { json, text } = await ask('GET', `queues/${raw.name}/${job}`, operator)
    expect(json.job).toMatchObject({
      failedReason: `no mail for ${PRIVATE}, [redacted]`,
      stacktrace: [expect.stringContaining('shop.js')],
      opts: { backoff: { type: PRIVATE } },
      data: { email: '•••' },
      returnValue: { buyer: '•••' },
    })
    const logs = await ask('GET', `queues/${raw.name}/${job}/logs`, operator)
    expect(logs.json[0]).toBe(`mailed ${PRIVATE} with [redacted]`)
    expect(`${text}${logs.text}`).not.toContain(TOKEN)
  })
})
