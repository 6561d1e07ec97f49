import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})

describe('on loopback', () => {
  let raw: RawQueue
  let daemon: DaemonProcess
  let url: string
  let shop: OrderExpiry
  beforeAll(async () => {
    raw = new RawQueue()
    daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name })
    url = await daemon.url()
    shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  })
  afterAll(async () => {
    await shop.close()
    await daemon.stop()
    await raw.close()
  })

  test('it listens on loopback only, and answers the probes', async () => {
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    const ready = await fetch(`${url}/readyz`)
    expect(ready.status).toBe(200)
    expect(await ready.json()).toEqual({
      status: 'ok',
      phase: 'running',
      checks: [
        { name: 'redis', status: 'ok' },
        { name: 'store', status: 'ok' },
        { name: 'brake', status: 'ok' },
        { name: 'worker', status: 'ok' },
      ],
    })
    expect((await fetch(`${url}/nothing`)).status).toBe(404)
  })

  test('the board is there without a password, shows the queue, and a finished check with its evidence', async () => {
    const page = await fetch(`${url}/board`)
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('order-expiry')
    await shop.schedule({ orderId: 'b-1', deadline: Date.now() + 200 })
    await eventually('the order is cancelled', async () => (await shop.find('b-1'))?.check?.finished)
    const queues = await fetch(`${url}/board/api/queues?activeQueue=${raw.name}&status=completed`)
    expect(queues.status).toBe(200)
    const body = JSON.stringify(await queues.json())
    expect(body).toContain(raw.name)
    expect(body).toContain('order-b-1')
    expect(body).toContain('decidedBy')
  })

  test('the board changes nothing', async () => {
    await shop.schedule({ orderId: 'b-2', deadline: '1h' })
    const actions = ['pause', 'resume', 'empty', 'promote', 'obliterate', 'retry/failed', 'clean/completed']
    const ofJob = ['order-b-2/promote', 'order-b-2/clean', 'order-b-2/retry']
    for (const path of [...actions, ...ofJob]) {
      const response = await fetch(`${url}/board/api/queues/${raw.name}/${path}`, {
        method: 'PUT',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      })
      expect([path, response.status]).toEqual([path, 403])
    }
    expect(await raw.queue.isPaused()).toBe(false)
    expect((await shop.find('b-2'))?.check?.state).toBe('waiting')
  })
})

test('on any other address, the board wants a user and its password, the probes do not', async () => {
  const raw = new RawQueue()
  const daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    HTTP_HOST: '0.0.0.0',
    BOARD_USERS: 'ann:s3:cret-of-ann:viewer,bob:other-password:operator',
  })
  try {
    const url = (await daemon.url()).replace('0.0.0.0', '127.0.0.1')
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    for (const path of ['/board', '/board/', '/board/api/queues', '/board/static/js/index.js']) {
      const refused = await fetch(`${url}${path}`)
      expect(refused.status).toBe(401)
      expect(refused.headers.get('www-authenticate')).toContain('Basic')
    }
    expect((await fetch(`${url}/board`, { headers: basic('ann', 'wrong') })).status).toBe(401)
    expect((await fetch(`${url}/board`, { headers: basic('bob', 's3:cret-of-ann') })).status).toBe(401)
    expect((await fetch(`${url}/board`, { headers: basic('ann', 's3:cret-of-ann') })).status).toBe(200)
    expect((await fetch(`${url}/board/api/queues`, { headers: basic('bob', 'other-password') })).status).toBe(200)
    expect(JSON.stringify(daemon.logs)).not.toContain('s3:cret-of-ann')
  } finally {
    await daemon.stop()
    await raw.close()
  }
})

test('while Redis is away: alive, not ready, the board says so; and all is well when it is back', async () => {
  const redis = await startRedis()
  const daemon = await DaemonProcess.start({ REDIS_URL: redis.url })
  try {
    const url = await daemon.url()
    await redis.stop()
    await eventually('not ready', async () => (await fetch(`${url}/readyz`)).status === 503)
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    await eventually('the board knows', async () => (await fetch(`${url}/board/api/queues`)).status === 503)
    const back = await startRedis({ port: redis.port })
    try {
      await eventually('ready again', async () => (await fetch(`${url}/readyz`)).status === 200)
      await eventually('the board is back', async () => (await fetch(`${url}/board/api/queues`)).status === 200)
      const shop = new OrderExpiry({ redis: redis.url, orders: 'redis' })
      await shop.schedule({ orderId: 'after', deadline: Date.now() + 100 })
      await eventually('a check is done', async () => (await shop.find('after'))?.check?.finished, 40_000)
      await shop.close()
    } finally {
      expect(await daemon.stop()).toBe(0)
      await back.stop()
    }
  } finally {
    await daemon.stop('SIGKILL')
  }
})

test('a store that is away when the daemon starts shows in its metrics: nothing else would raise an alert', async () => {
  const raw = new RawQueue()
  const daemon = new DaemonProcess({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    ORDER_STORE: 'postgres',
    DATABASE_URL: 'postgres://shop@127.0.0.1:1/shop',
  })
  try {
    await daemon.until(({ service, msg }) => service === 'store' && msg.startsWith('waiting for'))
    const metrics = await (await fetch(`${await daemon.url()}/metrics`)).text()
    expect(metrics).toContain('\norder_expiry_store_up 0\n')
    expect(metrics).toContain('\norder_expiry_overdue_up 0\n')
    expect(metrics).not.toContain('\norder_expiry_overdue_orders ')
  } finally {
    expect(await daemon.stop()).toBe(0)
    await raw.close()
  }
})
