import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

interface StoryJson {
  outcome: string
  code: string
  verdict: string
  deadline?: string
  decidedAt?: string
  decidedBy?: string
  events: { at?: string; code: string; text: string }[]
  missing: { part: string; code: string }[]
}

describe('orders in PostgreSQL', () => {
  let raw: RawQueue
  let table: OrdersTable
  let daemon: DaemonProcess
  let env: Record<string, string>
  let shop: OrderExpiry
  beforeAll(async () => {
    raw = new RawQueue()
    table = await OrdersTable.create({ idType: 'text' })
    await table.migrate()
    env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env, API_TOKENS: 'till:secret-of-the-till' }
    daemon = await DaemonProcess.start(env)
    shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  })
  afterAll(async () => {
    await shop.close()
    await daemon.stop()
    await raw.close()
    await table.drop()
  })

  async function explain(orderId: string): Promise<StoryJson & { exitCode: number | null; whats: string[] }> {
    const { code: exitCode, stdout, stderr } = await runCli(['explain', orderId, '--json'], { env })
    expect(stderr).toBe('')
    const story = JSON.parse(stdout) as StoryJson
    return { ...story, exitCode, whats: story.events.map(({ text }) => text) }
  }

  test('who scheduled it, and that its deadline was moved, is in the story', async () => {
    await table.insert([{ id: 'moved', deadline: Date.now() + 7_200_000 }])
    const url = await daemon.url()
    const headers = { authorization: 'Bearer secret-of-the-till', 'content-type': 'application/json' }
    const change = (method: string, timeout: string) =>
      fetch(`${url}/v1/orders/moved`, { method, headers, body: JSON.stringify({ timeout }) })
    expect((await change('PUT', '1h')).status).toBe(201)
    expect((await change('PATCH', '2h')).status).toBe(200)
    const { exitCode, verdict, whats } = await explain('moved')
    expect([exitCode, verdict]).toEqual([
      0,
      expect.stringMatching(/^Waiting: it will be cancelled at \S+Z if it is still unpaid/),
    ])
    expect(whats[0]).toBe('check scheduled by till')
    expect(whats).toContainEqual(expect.stringMatching(/^deadline moved from \S+Z to \S+Z$/))
    expect(whats).toContain('check to come')
  })

  test('a check that a payment had to wait for says so, and what the store said in the end', async () => {
    await table.insert([{ id: 'locked', deadline: Date.now() }])
    const paying = await table.pool.connect()
    try {
      await paying.query('BEGIN')
      await paying.query(`UPDATE orders SET status = 'paid', paid_at = now() WHERE id = 'locked'`)
      await shop.schedule({ orderId: 'locked', deadline: '1ms' })
      await eventually('it is noted', async () => (await raw.queue.getJobLogs('order-locked')).count > 0)
      await paying.query('COMMIT')
    } finally {
      paying.release()
    }
    await eventually('it is decided', async () => (await shop.find('locked'))?.check?.finished)
    const { verdict, whats } = await explain('locked')
    expect(verdict).toMatch(/^Left alone: when its check came, at \S+Z, it was /)
    expect(whats).toContainEqual(expect.stringMatching(/^check postponed by \d+ ms: locked$/))
    expect(whats).toContainEqual(expect.stringMatching(/^decided by .*: kept, the store said: status paid/))
  })

  test('what became of the event of a cancellation, as long as it waits and when it has been taken', async () => {
    await table.insert([{ id: 'told', deadline: Date.now() }])
    const item = { orderId: 'told', deadline: Date.now() + 50 }
    await shop.schedule(item)
    const evidence = await eventually('it is cancelled', async () => (await shop.find('told'))?.check?.finished)
    expect(await shop.schedule(item)).toMatchObject({ result: 'unchanged' }) // the same call again
    expect((await shop.find('told'))?.check?.finished).toEqual(evidence)
    const [event] = (await table.outbox()).filter(({ order_id }) => order_id === 'told')
    const { whats, events } = await explain('told')
    expect(whats).toContain(`event order.cancelled written, ${event?.event_id}`)
    expect(whats).toContain(`now: event ${event?.event_id} is still in the outbox`)
    const timeOf = (what: RegExp) => events.find(({ text }) => what.test(text))?.at
    expect(timeOf(/^event/)).toBe(timeOf(/^cancelled/))
    await table.pool.query(`DELETE FROM order_expiry_outbox WHERE order_id = 'told'`)
    expect((await explain('told')).whats).toContain('now: its event is no longer in the outbox, so it has been taken')
  })

  test('what the store says is enough when the check is long gone', async () => {
    await table.insert([{ id: 'gone', deadline: Date.now() }])
    await shop.schedule({ orderId: 'gone', deadline: '1ms' })
    await eventually('it is cancelled', async () => (await shop.find('gone'))?.check?.finished)
    await raw.queue.remove('order-gone')
    const { exitCode, verdict, whats } = await explain('gone')
    expect([exitCode, verdict]).toEqual([
      0,
      expect.stringMatching(/^Cancelled at \S+Z, by a sweep or a check of order-expiry that is no longer kept\.$/),
    ])
    expect(whats).toContain('cancelled, according to the order store')
  })

  test('a paid order is told as paid, not as overdue, though it has no check', async () => {
    await table.insert([{ id: 'paid', deadline: Date.now() - 3_600_000 }])
    await table.pool.query(`UPDATE orders SET status = 'paid', paid_at = now() WHERE id = 'paid'`)
    expect((await explain('paid')).verdict).toMatch(/^Paid at \S+Z, so it is never cancelled\.$/)
  })

  test('for people it is lines of text; of an order that nobody knows it ends with 1', async () => {
    const { code, stdout } = await runCli(['explain', 'paid'], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Paid .*\n\n/)
    expect(stdout).toMatch(/\n\d{4}-\d\d-\d\dT\S+Z {2}payment deadline \(60 min ago\)\n/)
    expect(stdout).toMatch(/\n\d{4}-\d\d-\d\dT\S+Z {2}now: status paid, according to the order store\n/)
    expect(await runCli(['explain', 'never'], { env })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^Unknown: the queue has nothing of it, and the order store does not have it\./),
    })
  })

  test('the forecast of the command line is that of the queue', async () => {
    const { within } = JSON.parse((await runCli(['forecast', '--json'], { env })).stdout)
    await shop.scheduleMany(
      Array.from({ length: 5 }, (_, n) => ({ orderId: `f-${n}`, deadline: Date.now() + 1_800_000 })),
    )
    const { code, stdout } = await runCli(['forecast', '--json'], { env })
    const after = JSON.parse(stdout)
    expect(code).toBe(0)
    expect(after.within).toEqual({ ...within, '60m': within['60m'] + 5 })
    expect(after.minutes.reduce((sum: number, count: number) => sum + count, 0)).toBe(after.within['60m'])
    expect((await runCli(['forecast'], { env })).stdout).toContain('█')
  })
})

test('orders in Redis: how far each reader of the stream is with the event', async () => {
  const raw = new RawQueue()
  const env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name }
  const daemon = await DaemonProcess.start(env)
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  closing.push(
    () => raw.close(),
    () => daemon.stop(),
    () => shop.close(),
  )
  const explain = async () => {
    const { stdout } = await runCli(['explain', 'a', '--json'], { env })
    return (JSON.parse(stdout) as StoryJson).events.map(({ text }) => text)
  }
  const stream = `{bull:${raw.name}}:events`
  await shop.scheduleMany(['a', 'b'].map((orderId) => ({ orderId, deadline: '1ms' })))
  await eventually('they are cancelled', async () => (await raw.redis.xlen(stream)) === 2)
  const id = (await raw.redis.xrange(stream, '-', '+')).find(([, fields]) => fields.includes('a'))?.[0] as string
  expect(await explain()).toContain(`event order.cancelled written, ${id}`)

  for (const group of ['mailer', 'stock', 'audit']) await raw.redis.xgroup('CREATE', stream, group, '0')
  for (const group of ['mailer', 'stock']) {
    await raw.redis.xreadgroup('GROUP', group, 'one', 'COUNT', 10, 'STREAMS', stream, '>')
  }
  await raw.redis.xack(stream, 'mailer', id)
  expect((await explain()).filter((what) => what.endsWith(`event ${id}`))).toEqual([
    `now: audit has not reached event ${id}`,
    `now: mailer is done with event ${id}`,
    `now: stock has received but not acknowledged event ${id}`,
  ])
  await raw.redis.xtrim(stream, 'MAXLEN', 0)
  expect((await explain()).filter((what) => what.includes('event'))).toEqual([])
})

test.each(['explain 1', 'forecast'])('without Redis, %s ends with 1 and says so', async (command) => {
  const { code, stdout, stderr } = await runCli(command.split(' '), { env: { REDIS_URL: 'redis://127.0.0.1:1' } })
  expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(/^(REDIS|STORE)_UNAVAILABLE: /)])
})
