import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { HttpProxy, PROXY_ADDRESS, type ProxyHabits } from '../helpers/http-proxy.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const BASE = '/order-expiry'
const ORIGIN = 'https://ops.example.com'
const TOKEN = 'a-token-of-the-shop-1'
const strip = (path: string) => path.slice(BASE.length) || '/'
const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
const BY_PASSWORD = basic('ann', 'look-but-do-not')

/** The ways in which proxies pass requests on. */
const WAYS: [name: string, habits: ProxyHabits][] = [
  ['leaves the path and the host', { headers: () => ({ host: 'ops.example.com' }) }],
  ['leaves the path and writes its own host', { headers: () => ({ host: 'order_expiry' }) }],
  ['takes the path away and leaves the host', { path: strip, headers: () => ({ host: 'ops.example.com' }) }],
  [
    'takes the path away and writes its own host',
    { path: strip, headers: () => ({ host: 'order-expiry.shop.svc:3000' }) },
  ],
]

let raw: RawQueue
let daemon: DaemonProcess
let direct: string
let shop: OrderExpiry
const opened: HttpProxy[] = []
beforeAll(async () => {
  raw = new RawQueue()
  daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    PUBLIC_URL: `${ORIGIN}${BASE}`,
    METRICS_TOKEN: 'open',
    TRUSTED_PROXY: `${PROXY_ADDRESS}, 10.0.0.0/8`,
    TRUSTED_PROXY_USER_HEADER: 'X-Forwarded-User',
    TRUSTED_PROXY_OPERATORS: 'bob@example.com,jörg',
    API_TOKENS: `shop:${TOKEN}`,
    BOARD_USERS: 'ann:look-but-do-not:viewer,eve:act-and-be-seen:operator',
  })
  direct = await daemon.url()
  shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  await shop.schedule({ orderId: 'A/1', deadline: '1h' })
  await shop.schedule({ orderId: 'A', deadline: '1h' })
})
afterAll(async () => {
  await Promise.all(opened.map((proxy) => proxy.close()))
  await shop.close()
  await daemon.stop()
  await raw.close()
})

async function through(habits: ProxyHabits): Promise<string> {
  const proxy = await HttpProxy.to(direct, habits)
  opened.push(proxy)
  return proxy.url
}

/** The proxy signs people in, and says who they are. */
const signsIn = (user: string | string[], rest: Record<string, string> = {}): ProxyHabits => ({
  headers: () => ({ host: 'ops.example.com', ...rest, 'x-forwarded-user': user }),
})

const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')
const pause = (url: string, headers: Record<string, string> = {}, action = 'resume') =>
  fetch(`${url}${BASE}/board/api/queues/${raw.name}/${action}`, { method: 'PUT', headers })

function linksOf(html: string): string[] {
  const links = [...html.matchAll(/\s(?:href|action|src)="([^"]+)"/g)].map(([, link]) => link as string)
  return links.filter((link) => !link.startsWith('data:'))
}

describe.each(WAYS)('behind a proxy that %s', (_, habits) => {
  let url: string
  beforeAll(async () => {
    url = await through(habits)
  })

  test.each(['/', '/orders', '/orders/A%2F1', '/board', '/board/', `/board/queue/Q/order-A`, '/docs', '/docs/'])(
    'every link of %s leads somewhere',
    async (path) => {
      const at = `${url}${BASE}${path.replace('Q', raw.name)}`
      const page = await fetch(at, { headers: BY_PASSWORD })
      const html = await page.text()
      expect(page.status).toBe(200)
      const base = new URL(/<base href="([^"]+)"/.exec(html)?.[1] ?? at, at)
      const links = linksOf(html)
      expect(links.length).toBeGreaterThan(1)
      for (const link of links) {
        const { href, pathname } = new URL(link, base)
        expect(pathname.startsWith(`${BASE}/`)).toBe(true)
        expect([link, (await fetch(href, { headers: BY_PASSWORD })).status]).toEqual([link, 200])
      }
    },
  )

  test("the board's own links lead back", async () => {
    const page = await (await fetch(`${url}${BASE}/board`, { headers: BY_PASSWORD })).text()
    expect(page).toContain(`"url":"${BASE}/"`)
    const job = await fetch(`${url}${BASE}/board/api/queues/${raw.name}/order-A`, { headers: BY_PASSWORD })
    expect(await job.text()).toContain(`"href":"${BASE}/orders/A"`)
  })

  test('the search leads to the order', async () => {
    const headers = BY_PASSWORD
    const found = await fetch(`${url}${BASE}/orders?id=A%2F1`, { headers, redirect: 'manual' })
    expect([found.status, found.headers.get('location')]).toEqual([303, `${BASE}/orders/A%2F1`])
  })

  test('the API and the probes are below the path too', async () => {
    const order = await fetch(`${url}${BASE}/v1/orders/A%2F1`, { headers: { authorization: `Bearer ${TOKEN}` } })
    expect([order.status, await order.json()]).toMatchObject([200, { orderId: 'A/1' }])
    expect((await fetch(`${url}${BASE}/livez`)).status).toBe(200)
    const description = await (await fetch(`${url}${BASE}/openapi.json`, { headers: BY_PASSWORD })).json()
    expect(description).toMatchObject({ servers: [{ url: `${ORIGIN}${BASE}` }] })
  })

  test('a page of PUBLIC_URL may act, another may not', async () => {
    const operator = basic('eve', 'act-and-be-seen')
    const from = async (headers: Record<string, string>) => (await pause(url, { ...operator, ...headers })).status
    expect(await from({ origin: ORIGIN })).toBe(200)
    expect(await from({ origin: ORIGIN, 'sec-fetch-site': 'same-origin' })).toBe(200)
    expect(await from({ origin: 'https://evil.example' })).toBe(403)
    expect(await from({ origin: 'http://ops.example.com.evil.example' })).toBe(403)
    expect(await from({ origin: ORIGIN, 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await from({ origin: 'null' })).toBe(403)
  })
})

describe('whom a trusted proxy names', () => {
  test.each(['bob@example.com', 'eve', 'jörg'])('is an operator if the settings say so: %s', async (user) => {
    const url = await through(signsIn(latin1(user)))
    expect((await pause(url)).status).toBe(200)
    await daemon.until(({ by, action }) => by === user && action === 'resume')
  })

  test.each(['ann', 'zoe@example.com', 'bob', 'BOB@example.com'])('is a viewer otherwise: %s', async (user) => {
    const url = await through(signsIn(user))
    expect((await fetch(`${url}${BASE}/`)).status).toBe(200)
    expect((await pause(url)).status).toBe(403)
  })

  test('counts, whatever password it sends along', async () => {
    const url = await through(signsIn('zoe'))
    expect((await pause(url, basic('zoe', ''))).status).toBe(403)
    expect((await pause(url, basic('eve', 'act-and-be-seen'))).status).toBe(403)
  })

  test.each([
    ['two names', ['zoe', 'bob@example.com']],
    ['a name that cannot be seen', latin1('bob\u202e')],
    ['a long name', 'x'.repeat(201)],
  ])('is nobody if it sends %s', async (_, user) => {
    const url = await through(signsIn(user))
    expect((await fetch(`${url}${BASE}/`)).status).toBe(401)
  })

  test.each(['', ' '])('is nobody if it sends %j: then a password counts', async (user) => {
    const url = await through(signsIn(user))
    expect((await fetch(`${url}${BASE}/`)).status).toBe(401)
    expect((await fetch(`${url}${BASE}/`, { headers: BY_PASSWORD })).status).toBe(200)
  })

  test('is nobody if it is a browser, led here by the name of another site', async () => {
    const url = await through(signsIn('bob@example.com', { host: 'rebinding.example:3000' }))
    const refused = await fetch(`${url}${BASE}/`)
    expect([refused.status, await refused.json()]).toMatchObject([
      403,
      { detail: expect.stringContaining('PUBLIC_URL') },
    ])
  })
})

test.each(['bob@example.com', 'eve'])('nobody else can name anybody: %s', async (user) => {
  for (const headers of [
    { 'x-forwarded-user': user },
    { 'x-forwarded-user': user, 'x-forwarded-for': PROXY_ADDRESS, 'x-real-ip': PROXY_ADDRESS },
    { 'x-forwarded-user': user, forwarded: `for=${PROXY_ADDRESS}` },
  ]) {
    expect((await fetch(`${direct}/`, { headers: headers as Record<string, string> })).status).toBe(401)
    const act = await fetch(`${direct}/board/api/queues/${raw.name}/pause`, {
      method: 'PUT',
      headers: { ...headers, ...BY_PASSWORD } as Record<string, string>,
    })
    expect(act.status).toBe(403)
  }
})

describe('where only a proxy says who somebody is', () => {
  let alone: DaemonProcess
  beforeAll(async () => {
    alone = await DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: raw.name,
      TRUSTED_PROXY: PROXY_ADDRESS,
      TRUSTED_PROXY_USER_HEADER: 'Remote-User',
    })
  })
  afterAll(async () => {
    await alone.stop()
  })

  test('nobody else gets in, not even on loopback', async () => {
    const url = await alone.url()
    for (const headers of [{}, { 'remote-user': 'ann' }, basic('', ''), basic('ann', '')]) {
      expect((await fetch(`${url}/`, { headers: headers as Record<string, string> })).status).toBe(401)
    }
    const proxy = await HttpProxy.to(url, { headers: () => ({ 'remote-user': 'ann' }) })
    opened.push(proxy)
    expect((await fetch(`${proxy.url}/`)).status).toBe(200)
  })

  test.each([
    ['PUT', '/v1/orders/x'],
    ['DELETE', '/v1/orders/x'],
    ['POST', '/v1/orders/x/paid'],
    ['GET', '/v1/forecast'],
    ['GET', '/metrics'],
  ])('whoever it signs in may not %s %s, for which there is no token', async (method, path) => {
    const headers = () => ({ 'remote-user': 'ann', host: '127.0.0.1:3000' })
    const proxy = await HttpProxy.to(await alone.url(), { headers })
    opened.push(proxy)
    const answer = await fetch(`${proxy.url}${path}`, { method })
    expect([answer.status, await answer.json()]).toMatchObject([403, { detail: expect.stringMatching(/_TOKENS? is/) }])
  })
})

describe('slashes', () => {
  let url: string
  beforeAll(async () => {
    // As nginx and others do where they are told to rewrite the path.
    url = await through({ path: (path) => strip(path).replaceAll(/%2f/gi, '/') })
  })
  const api = (method: string, path: string) => fetch(`${url}${BASE}${path}`, { method, headers: BY_PASSWORD })

  test.each(['A%2F1', '%2FA', 'A%2F%2F1', 'A%2F%2F'])(
    'that a proxy has decoded in the order id %s touch no other order, and the answer says what to do',
    async (id) => {
      for (const path of [`/v1/orders/${id}`, `/orders/${id}`]) {
        for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'POST']) {
          const answer = await api(method, path)
          expect([method, path, answer.status, await answer.text()]).toEqual([
            method,
            path,
            400,
            expect.stringMatching(/percent-encoded.*docs\/proxy\.md/),
          ])
        }
      }
      expect((await shop.find('A'))?.check?.state).toBe('waiting')
    },
  )

  test.each([
    '//orders/A',
    '/orders/A/',
    '//orders',
    '//board//api/queues/',
    '/board/api//queues',
    '//docs//',
    '//livez',
    '/readyz/',
    '/metrics/',
    '//openapi.json',
  ])('too many mean the same: %s', async (path) => {
    expect((await api('GET', path)).status).toBe(200)
    expect((await fetch(`${direct}${path}`, { headers: BY_PASSWORD })).status).toBe(200)
  })
})
