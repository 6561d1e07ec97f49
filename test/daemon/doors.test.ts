import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

interface Answer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  text: string
}

/** @param options.from an address of this machine, from which it is asked */
function ask(url: string, options: { headers?: Record<string, string>; from?: string; method?: string } = {}) {
  const { headers = {}, from = '127.0.0.1', method = 'GET' } = options
  return new Promise<Answer>((resolve, reject) => {
    const asked = request(url, { headers, method, localAddress: from, agent: false }, async (answer) => {
      let text = ''
      for await (const chunk of answer) text += chunk
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text })
    })
    asked.on('error', reject).end()
  })
}

const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const statusOf = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).status

const OPS = basic('ops', 'password-of-ops')
const SHOP = bearer('token-of-the-shop')
const PROMETHEUS = bearer('token-of-prometheus')
/** A page behind each door, and what opens it. */
const DOORS: [door: string, path: string, right: Record<string, string>, wrong: Record<string, string>][] = [
  ['api', '/v1/forecast', SHOP, bearer('token-of-nobody-at-all')],
  ['pages', '/', OPS, basic('ops', 'password-of-nobody')],
  ['pages', '/board/api/queues', OPS, basic('eve', 'password-of-ops')],
  ['docs', '/docs/json', OPS, basic('ops', '')],
  ['docs', '/openapi.json', SHOP, PROMETHEUS],
  ['metrics', '/metrics', PROMETHEUS, SHOP],
]

describe('on an address that others reach', () => {
  let raw: RawQueue
  let daemon: DaemonProcess
  let url: string
  beforeAll(async () => {
    raw = new RawQueue()
    daemon = await DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: raw.name,
      HTTP_HOST: '0.0.0.0',
      API_TOKENS: 'shop:token-of-the-shop',
      BOARD_USERS: 'ops:password-of-ops:operator',
      METRICS_TOKEN: 'token-of-prometheus',
    })
    url = (await daemon.url()).replace('0.0.0.0', '127.0.0.1')
  })
  afterAll(async () => {
    await daemon.stop()
    await raw.close()
  })

  test.each(DOORS)('%s: %s is closed without credentials, and open with the right ones', async (_, path, right) => {
    const closed = await ask(`${url}${path}`)
    expect([closed.status, closed.headers['cache-control']]).toEqual([401, 'no-store'])
    expect(closed.headers['www-authenticate']).toMatch(/realm="order-expiry"/)
    const open = await ask(`${url}${path}`, { headers: right })
    expect([open.status, open.headers['cache-control']]).toEqual([200, 'no-store'])
  })

  test('the probes are open to everybody, under any name, and are not cached either', async () => {
    for (const path of ['/livez', '/readyz']) {
      const { status, headers } = await ask(`${url}${path}`, { headers: { host: 'pod.example.com', ...SHOP } })
      expect([status, headers['cache-control']]).toEqual([200, 'no-store'])
    }
  })

  test.each(DOORS)('%s: %s, guessed at by one address, is open to all others', async (door, path, right, wrong) => {
    const n = DOORS.findIndex((row) => row[1] === path)
    const [from, other] = [`127.0.1.${n}`, `127.0.2.${n}`]
    expect(await statusOf(`${url}${path}`, { headers: right, from: `127.0.3.${n}` })).toBe(200)
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(`${url}${path}`, { headers: wrong, from })))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(20)
    const [limited] = answers.filter(({ status }) => status === 429)
    expect(limited?.headers).toMatchObject({ 'cache-control': 'no-store' })
    expect(limited?.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(Number(limited?.headers['retry-after'])).toBeGreaterThan(0)
    expect(JSON.parse(limited?.text ?? '')).toMatchObject({ code: 'RATE_LIMITED', status: 429 })
    for (const address of [other, `127.0.3.${n}`]) {
      expect(await statusOf(`${url}${path}`, { headers: right, from: address })).toBe(200)
    }
    await eventually('they are counted', async () => {
      const metrics = await ask(`${url}/metrics`, { headers: PROMETHEUS })
      const [, count] =
        new RegExp(`order_expiry_wrong_credentials_total{door="${door}"} (\\d+)`).exec(metrics.text) ?? []
      return Number(count) >= 60
    })
  })

  test('whoever was right goes on from an address that guesses', async () => {
    const [from, path] = ['127.0.4.1', `${url}/v1/forecast`]
    expect(await statusOf(path, { headers: SHOP, from })).toBe(200)
    for (let n = 0; n < 30; n++) await ask(path, { headers: bearer(`token-of-nobody-${n}`), from })
    expect(await statusOf(path, { headers: bearer('token-of-nobody'), from })).toBe(429)
    expect(await statusOf(path, { headers: SHOP, from })).toBe(200)
  })

  test('a log line says where wrong ones come from and for what, another one how many, and none what was guessed', async () => {
    const lines = () => daemon.logs.filter(({ msg }) => msg.startsWith('wrong passwords or tokens'))
    for (let n = 0; n < 30; n++)
      await ask(`${url}/board`, { headers: basic('ops', 'hunter2hunter2'), from: '127.0.5.1' })
    const told = await eventually('the rest is told of', async () => {
      await ask(`${url}/livez`)
      return lines()
        .filter(({ address }) => address === '127.0.5.1')
        .at(-1)
    })
    expect(told).toMatchObject({ level: 'warn', route: '/board', count: expect.any(Number) })
    expect(lines().length).toBeLessThan(15)
    expect(JSON.stringify(daemon.logs)).not.toContain('hunter2')
  })

  test('pages and what they show are not cached; static files may be', async () => {
    for (const path of ['/board', '/', '/orders', '/orders/o-1', '/docs/json', '/board/api/queues']) {
      const { headers } = await ask(`${url}${path}`, { headers: OPS })
      expect([path, headers['cache-control']]).toEqual([path, 'no-store'])
    }
    const style = await ask(`${url}/docs/static/swagger-ui.css`, { headers: OPS })
    expect([style.status, style.headers['cache-control']]).not.toEqual([200, 'no-store'])
    expect((await ask(`${url}/docs/static/swagger-ui.css`)).status).toBe(401)
  })

  test('whatever is refused is not cached', async () => {
    for (const [path, method] of [
      ['/nothing', 'GET'],
      ['/%ff', 'GET'],
      ['/v1/orders/%ff', 'PUT'],
      ['/v1/forecast', 'POST'],
    ]) {
      const { status, headers } = await ask(`${url}${path}`, { headers: SHOP, method: method as string })
      expect([path, status >= 400, headers['cache-control']]).toEqual([path, true, 'no-store'])
    }
  })
})

describe('without credentials in the settings', () => {
  const daemons: DaemonProcess[] = []
  const raw = new RawQueue()
  const start = async (env: Record<string, string>) => {
    const daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...env })
    daemons.push(daemon)
    return { daemon, url: (await daemon.url()).replace('0.0.0.0', '127.0.0.1') }
  }
  afterAll(async () => {
    await Promise.all(daemons.map((daemon) => daemon.stop()))
    await raw.close()
  })
  const PATHS = ['/', '/board', '/metrics', '/docs/', '/docs/json', '/openapi.json', '/v1/forecast']

  test('everything is open on loopback, but not to a site that gives its own name to this address', async () => {
    const { url } = await start({})
    for (const path of PATHS) {
      expect([path, await statusOf(`${url}${path}`)]).toEqual([path, 200])
      const rebound = await ask(`${url}${path}`, { headers: { host: 'evil.example:3000' } })
      expect([path, rebound.status, rebound.headers['cache-control']]).toEqual([path, 403, 'no-store'])
    }
    expect(await statusOf(`${url}/livez`, { headers: { host: 'pod.example.com' } })).toBe(200)
  })

  test('on another address, /metrics and the docs are closed, and the log says so; a token of the API opens the docs', async () => {
    const { url, daemon } = await start({ HTTP_HOST: '0.0.0.0', API_TOKENS: 'shop:token-of-the-shop' })
    expect(await statusOf(`${url}/metrics`, { headers: SHOP })).toBe(403)
    await daemon.until(({ level, msg }) => level === 'warn' && msg.startsWith('/metrics is closed'))
    for (const path of ['/docs/json', '/openapi.json']) {
      expect([await statusOf(`${url}${path}`), await statusOf(`${url}${path}`, { headers: SHOP })]).toEqual([401, 200])
    }
  })

  test('with users alone, METRICS_TOKEN=open opens /metrics to everybody, and nothing else', async () => {
    const users = { BOARD_USERS: 'ops:password-of-ops:viewer' }
    const { url, daemon } = await start({ HTTP_HOST: '0.0.0.0', METRICS_TOKEN: 'open', ...users })
    const { status, headers } = await ask(`${url}/metrics`, { headers: { host: '10.0.0.7:3000' } })
    expect([status, headers['cache-control']]).toEqual([200, 'no-store'])
    for (const path of PATHS.filter((path) => path !== '/metrics')) {
      expect([path, [401, 403].includes(await statusOf(`${url}${path}`))]).toEqual([path, true])
    }
    expect(JSON.stringify(daemon.logs)).not.toContain('[redacted]')
  })

  test('on loopback, a token for /metrics closes /metrics alone', async () => {
    const { url } = await start({ METRICS_TOKEN: 'token-of-prometheus' })
    expect(await statusOf(`${url}/metrics`)).toBe(401)
    expect(await statusOf(`${url}/metrics`, { headers: { ...PROMETHEUS, host: 'shop.example' } })).toBe(200)
    for (const path of PATHS.filter((path) => path !== '/metrics')) {
      expect([path, await statusOf(`${url}${path}`)]).toEqual([path, 200])
    }
  })
})
