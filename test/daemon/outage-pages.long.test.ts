import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const CHROME = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

async function startBehindProxies(env: Record<string, string> = {}) {
  const proxies = { redis: await TcpProxy.to(redisUrl()), store: await TcpProxy.to(databaseUrl()) }
  closing.push(
    () => proxies.redis.close(),
    () => proxies.store.close(),
  )
  const daemon = await DaemonProcess.start({
    QUEUE_NAME: uniqueName('outage'),
    ...env,
    ...(env.DATABASE_URL && { DATABASE_URL: proxies.store.urlOf(env.DATABASE_URL) }),
    REDIS_URL: proxies.redis.urlOf(redisUrl()),
  })
  closing.push(() => daemon.stop())
  const url = await daemon.url()
  const read = async (path: string) => {
    const response = await fetch(url + path, { headers: CHROME })
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
  }
  const untilTitle = (title: string) =>
    eventually(`the tab says ${title}`, async () => {
      const { text } = await read('/')
      return text.includes(`<title>${title} – order-expiry</title>`) ? text : undefined
    })
  return { proxies, read, untilTitle }
}

/** In epoch milliseconds. */
function sinceOn(text: string): number {
  const [, since = ''] = /Since (\S+ \S+) UTC/.exec(text) ?? []
  return Date.parse(`${since.replace(' ', 'T')}Z`)
}

async function openTable(): Promise<OrdersTable> {
  const table = await OrdersTable.create()
  closing.push(() => table.drop())
  await table.migrate()
  return table
}

test('while Redis is away, the pages say since when and what it means, and that is true: sweeps cancel', async () => {
  const table = await openTable()
  const { proxies, read, untilTitle } = await startBehindProxies({
    ...table.env,
    SWEEP_EVERY: '5m',
    SWEEP_AHEAD: '10m',
  })
  await untilTitle('Ready for the first order')
  const cutAt = Date.now()
  proxies.redis.cut()
  const text = await untilTitle('⚠ Redis is away')
  expect(Math.abs(sinceOn(text) - cutAt)).toBeLessThan(10_000)
  expect(text).toContain('sweeps cancel each order within 1 s of its deadline')
  expect(text).toContain('/guide/runbook#orderexpiryredisdown')

  await table.insert([{ id: '1', deadline: Date.now() - 6_000 }])
  await eventually('it is cancelled', async () => ((await table.statusOf('1')) === 'cancelled' ? true : undefined))

  const type = 'text/html; charset=utf-8'
  const board = await read('/board')
  expect(board).toMatchObject({ status: 503, type, text: expect.stringContaining('Redis is away') })
  expect(sinceOn(board.text)).toBe(sinceOn(text))
  const half = /Half of this story is missing, because Redis cannot be asked now.*now: status cancelled/s
  expect(await read('/orders/1')).toMatchObject({ status: 200, type, text: expect.stringMatching(half) })
  expect(await read('/v1/forecast')).toMatchObject({
    status: 503,
    type: expect.stringMatching(/^application\/problem\+json/),
  })

  proxies.redis.heal()
  expect(await untilTitle('All is well')).toMatch(/1 of 1 overdue cancelled|nothing was overdue/)
})

test.each([
  ['BRAKE_MAX_PER_MINUTE', '1000'],
  ['BRAKE_PAYMENT_SILENCE', '1h'],
])(
  'while Redis is away and %s is set, nobody says that anything is swept meanwhile, and nothing is',
  async (name, value) => {
    const table = await openTable()
    const { proxies, read, untilTitle } = await startBehindProxies({ ...table.env, [name]: value, SWEEP_EVERY: '1s' })
    await untilTitle('Ready for the first order')
    proxies.redis.cut()
    const text = await untilTitle('⚠ Redis is away')
    expect(text).toMatch(new RegExp(`no order is cancelled now, because [^,]*${name}[^,]* is set`))
    expect(text).not.toContain('sweeps cancel')
    await table.insert([{ id: '1', deadline: Date.now() - 6_000 }])
    await eventually('a sweep has come upon it', async () => /Last sweep<.*0 of 1 overdue/.test((await read('/')).text))
    expect(await table.statusOf('1')).toBe('pending')
    expect((await read('/orders/1')).text).not.toMatch(/sweep(s it| cancels)/)
  },
)

test('while the order store is away, the pages say so, also if nothing falls due', async () => {
  const table = await openTable()
  const { proxies, read, untilTitle } = await startBehindProxies(table.env)
  await untilTitle('Ready for the first order')
  proxies.store.cut()
  const first = await untilTitle('⚠ The order store is away')
  for (const text of ['their checks wait in the queue', '/guide/runbook#orderexpirystoredown', 'class="tile bad"']) {
    expect(first).toContain(text)
  }
  const again = await eventually('it goes on', async () => {
    const { text } = await read('/')
    return text.includes('for 0 s') ? undefined : text
  })
  expect(sinceOn(again)).toBe(sinceOn(first))
  proxies.store.heal()
  await eventually('it is back', async () => !(await read('/')).text.includes('<title>⚠'))
})

test('where Redis is the order store, nobody says that anything is swept meanwhile', async () => {
  const { proxies, untilTitle } = await startBehindProxies()
  await untilTitle('Ready for the first order')
  proxies.redis.cut()
  const text = await untilTitle('⚠ Redis is away')
  expect(text).toContain('No order can be scheduled, paid or cancelled until Redis is back')
  expect(text).not.toMatch(/sweeps cancel|<h2>The order store/)
})

test('each process is on the overview, by its version, until it ends or dies', async () => {
  const QUEUE_NAME = uniqueName('processes')
  const { read } = await startBehindProxies({ QUEUE_NAME })
  const rows = async () =>
    (await read('/')).text.match(/<tr><th scope="row">[^<]+:\d+<\/th><td>\d+\.\d+\.\d+<\/td>/g)?.length
  const others = await Promise.all(['one', 'two'].map(() => DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME })))
  closing.push(() => Promise.all(others.map((other) => other.stop('SIGKILL'))))
  await eventually('all three are there', async () => (await rows()) === 3)
  await others[0]?.stop()
  await eventually('the one that ended is gone', async () => (await rows()) === 2)
  await others[1]?.stop('SIGKILL')
  await eventually('the one that died is gone', async () => (await rows()) === 1, 45_000)
}, 90_000)
