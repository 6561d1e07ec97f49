import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const HOUR = 3_600_000
const SELDOM_SWEPT = { SWEEP_EVERY: '1h', SWEEP_AHEAD: '2h' }
/** Long enough that a sweep settles it, and no backlog. */
const OVERDUE_MS = 60_000

interface StoryJson {
  outcome: string
  code: string
  verdict: string
  next?: string
  deadline?: string
  decidedAt?: string
  decidedBy?: string
  lateMs?: number
  events: { at?: string; code: string; text: string }[]
  missing: { part: string; code: string }[]
}

let raw: RawQueue
let table: OrdersTable
let env: Record<string, string>
beforeAll(async () => {
  raw = new RawQueue()
  table = await OrdersTable.create({ idType: 'text' })
  await table.migrate()
  env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env }
})
afterAll(async () => {
  await raw.close()
  await table.drop()
})

async function explain(orderId: string, given = env): Promise<StoryJson & { exitCode: number | null }> {
  const { code: exitCode, stdout, stderr } = await runCli(['explain', orderId, '--json'], { env: given })
  expect(stderr).toBe('')
  const story = JSON.parse(stdout) as StoryJson
  expect(Number.isInteger(story.lateMs ?? 0)).toBe(true)
  return { exitCode, ...story }
}

const overdue = (...ids: string[]) => table.insert(ids.map((id) => ({ id, deadline: Date.now() - OVERDUE_MS })))
const sweep = (given: Record<string, string> = {}) => runCli(['sweep', '--json'], { env: { ...env, ...given } })
const codesOf = ({ events }: StoryJson) => events.map(({ code }) => code)

async function startDaemon(given: Record<string, string> = {}): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start({ ...env, ...given })
  closing.push(() => daemon.stop())
  return daemon
}

const evidence = (decidedBy: RegExp) => ({
  outcome: 'cancelled',
  code: 'CANCELLED_BY_SWEEP',
  verdict: expect.stringMatching(
    /^Cancelled at \S+Z by a sweep, because it was still unpaid \(pending\) \d+ \S+ after its/,
  ),
  deadline: expect.stringMatching(/Z$/),
  decidedAt: expect.stringMatching(/Z$/),
  decidedBy: expect.stringMatching(decidedBy),
  lateMs: expect.any(Number),
  missing: [],
})

describe('a cancellation by a sweep has the evidence of one by a check', () => {
  test('of the sweep of a daemon, which a later check finds and does not hide', async () => {
    await overdue('swept')
    const daemon = await startDaemon()
    const ofDaemon = new RegExp(`:${daemon.child.pid}$`)
    const story = await eventually('it is cancelled', async () => {
      const told = await explain('swept')
      return told.code === 'CANCELLED_BY_SWEEP' && told
    })
    expect(story).toMatchObject(evidence(ofDaemon))
    expect(story.events).toContainEqual({
      at: story.decidedAt,
      code: 'SWEEP_DECIDED',
      text: expect.stringMatching(/^decided by a sweep of \S+: cancelled, the store said: status pending$/),
    })
    const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
    closing.push(() => shop.close())
    await shop.schedule({ orderId: 'swept', deadline: '1ms' })
    await eventually('a check finds it cancelled', async () => (await shop.find('swept'))?.check?.finished)
    const later = await explain('swept')
    expect(later).toMatchObject(evidence(ofDaemon))
    expect(codesOf(later)).toEqual(expect.arrayContaining(['SWEEP_DECIDED', 'CHECK_DECIDED', 'CANCELLED']))
  })

  test('of a sweep by hand, that met a brake, a dry run and a lock before', async () => {
    await overdue('held')
    await runCli(['brake', 'engage'], { env })
    await sweep()
    expect(await explain('held')).toMatchObject({ outcome: 'overdue', code: 'BRAKE_ENGAGED', next: expect.any(String) })
    await runCli(['brake', 'release'], { env })
    await sweep({ DRY_RUN: 'true' })
    const locking = await table.pool.connect()
    try {
      await locking.query(`BEGIN; UPDATE orders SET note = 'x' WHERE id = 'held'`)
      await sweep()
      expect(await explain('held')).toMatchObject({ outcome: 'overdue', code: 'LOCKED', next: expect.any(String) })
      await locking.query('ROLLBACK')
    } finally {
      locking.release()
    }
    await sweep()
    const story = await explain('held')
    expect(story).toMatchObject(evidence(/:\d+$/))
    expect(story.events.filter(({ code }) => code === 'SWEEP_LEFT').map(({ text }) => text)).toEqual([
      expect.stringMatching(/: the brake held it back$/),
      expect.stringMatching(/: in a dry run, it would have been cancelled$/),
      expect.stringMatching(/: another transaction had locked its row$/),
    ])
  })

  test('but a sweep that is to change nothing leaves nothing', async () => {
    await overdue('looked-at')
    await runCli(['sweep', '--dry-run'], { env })
    expect(await explain('looked-at')).toMatchObject({ code: 'OVERDUE' })
    await table.pool.query(`DELETE FROM orders WHERE id = 'looked-at'`)
  })
})

test('an order whose status says so is told as cancelled, by others or by nobody knows whom, without a time of it', async () => {
  const timeless = { ...env, ORDERS_CANCELLED_AT_COLUMN: '' }
  await overdue('long-ago')
  await sweep()
  await raw.redis.hdel(`{bull:${raw.name}}:swept`, 'long-ago')
  await table.pool.query(`DELETE FROM order_expiry_outbox WHERE order_id = 'long-ago'`)
  expect(await explain('long-ago', timeless)).toMatchObject({ outcome: 'cancelled', code: 'CANCELLED_BY_UNKNOWN' })

  await startDaemon()
  await table.insert([{ id: 'called-off', status: 'cancelled', deadline: Date.now() }])
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  closing.push(() => shop.close())
  await shop.schedule({ orderId: 'called-off', deadline: '1ms' })
  await eventually('it is decided', async () => (await shop.find('called-off'))?.check?.finished)
  expect(await explain('called-off', timeless)).toMatchObject({
    outcome: 'cancelled',
    code: 'CANCELLED_BY_OTHERS',
    verdict: expect.stringMatching(/its status was cancelled already\.$/),
  })
})

test('where orders have no status, none is told as changed since it was cancelled', async () => {
  const seats = await OrdersTable.create({ idType: 'text', statusType: null, hasTrigger: false })
  closing.push(() => seats.drop())
  await seats.migrate()
  await seats.insert([{ id: 'seat', deadline: Date.now() - OVERDUE_MS }])
  const given = {
    ...env,
    ...seats.env,
    ORDERS_STATUS_COLUMN: '',
    ORDERS_CONDITION: 'NOT is_closed',
    ORDERS_SET: 'is_closed = true',
  }
  expect((await runCli(['sweep', '--json'], { env: given })).code).toBe(0)
  expect(await explain('seat', given)).toMatchObject({
    code: 'CANCELLED_BY_SWEEP',
    verdict: expect.stringMatching(/because it was still unpaid \d+ \S+ after its payment deadline of \S+Z\.$/),
  })
})

test('an order that a trigger keeps is told as rejected, with what the trigger says and what to do', async () => {
  await table.pool.query(`
    CREATE FUNCTION keep_vip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.id = 'vip' THEN RAISE EXCEPTION 'vip orders stay'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER keep_vip BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION keep_vip()`)
  await overdue('vip')
  await sweep()
  expect(await explain('vip')).toMatchObject({
    exitCode: 0,
    outcome: 'overdue',
    code: 'REJECTED',
    verdict: expect.stringContaining('vip orders stay'),
    next: expect.stringContaining('trigger'),
  })
  await table.pool.query(`DROP TRIGGER keep_vip ON orders; DELETE FROM orders WHERE id = 'vip'`)
})

describe('a job with an id of its own, or a number', () => {
  test.each([
    ['chosen by its producer', { jobId: 'till-17' }],
    ['by BullMQ', {}],
  ])('%s is found by explain and show, before it is due and after', async (how, options) => {
    const orderId = `raw-${Object.keys(options).length}`
    const deadline = Date.now() + HOUR
    await table.insert([{ id: orderId, deadline }])
    const job = await raw.queue.add('check-payment', { orderId, by: 'till' }, { delay: HOUR, ...options })
    const before = await explain(orderId)
    expect([how, before.code, codesOf(before)]).toEqual([how, 'WAITING', expect.arrayContaining(['CHECK_TO_COME'])])
    expect(before.events[0]?.text).toBe('check scheduled by till')
    const show = async () => JSON.parse((await runCli(['show', orderId, '--json'], { env })).stdout)
    expect(await show()).toMatchObject({ check: { jobId: job.id, state: 'waiting' } })

    await table.pool.query(`UPDATE orders SET payment_deadline = now() WHERE id = $1`, [orderId])
    const daemon = await startDaemon(SELDOM_SWEPT)
    await daemon.until(({ msg }) => msg === 'ready')
    await job.promote()
    await eventually('it is decided', async () => (await job.getState()) === 'completed')
    expect(await explain(orderId)).toMatchObject({
      code: 'CANCELLED_BY_CHECK',
      decidedBy: expect.stringMatching(/:\d+$/),
    })
    expect(await show()).toMatchObject({ check: { state: 'finished', finished: { outcome: 'cancelled' } } })
  })

  test('is found in the failed set, with how to replay it', async () => {
    await table.insert([{ id: 'given-up', deadline: Date.now() + 5 * HOUR }])
    const job = await raw.queue.add('check-payment', { orderId: 'given-up', deadline: 'soon' })
    await startDaemon(SELDOM_SWEPT)
    await eventually('it is given up', async () => (await job.getState()) === 'failed')
    expect(await explain('given-up')).toMatchObject({
      outcome: 'given-up',
      code: 'CHECK_GIVEN_UP',
      verdict: expect.stringContaining('INVALID_JOB'),
      next: expect.stringContaining(`order-expiry replay ${job.id}`),
    })
    expect((await runCli(['show', 'given-up'], { env })).stdout).toContain('INVALID_JOB')
  })
})

describe('while half of the story cannot be asked, the other half is told', () => {
  let redis: TcpProxy
  let postgres: TcpProxy
  let daemon: DaemonProcess
  let url: string
  let proxied: Record<string, string>
  beforeAll(async () => {
    redis = await TcpProxy.to(redisUrl())
    postgres = await TcpProxy.to(databaseUrl())
    proxied = { ...env, REDIS_URL: redis.urlOf(redisUrl()), DATABASE_URL: postgres.urlOf(databaseUrl()) }
    await table.insert([{ id: 'half', deadline: Date.now() + HOUR }])
    daemon = await DaemonProcess.start(proxied)
    url = await daemon.url()
    const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
    await shop.schedule({ orderId: 'half', deadline: Date.now() + HOUR })
    await shop.close()
  })
  afterAll(async () => {
    redis.heal()
    postgres.heal()
    await daemon.stop()
    await redis.close()
    await postgres.close()
  })
  const page = () => fetch(`${url}/orders/half`, { headers: { accept: 'text/html' } })
  const api = () => fetch(`${url}/v1/orders/half/explain`)

  test.each([
    ['queue', () => redis, 'REDIS_UNAVAILABLE', /^Waiting: it will be cancelled/, 'STATUS'],
    ['store', () => postgres, 'STORE_UNAVAILABLE', /^Waiting: its check is due/, 'CHECK_TO_COME'],
  ] as const)('the %s', async (part, proxy, code, verdict, event) => {
    proxy().cut()
    try {
      const missing = [{ part, code, text: expect.stringMatching(/^Half of this story is missing/) }]
      const told = { outcome: 'waiting', code: 'WAITING', verdict: expect.stringMatching(verdict), missing }
      const answer = await api()
      expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining(told)])
      const byHand = await explain('half', proxied)
      expect(byHand).toMatchObject({ exitCode: 2, ...told })
      expect(codesOf(byHand)).toContain(event)
      const shown = await page()
      expect([shown.status, shown.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
      expect(await shown.text()).toContain('Half of this story is missing')
    } finally {
      proxy().heal()
    }
    await eventually('the story is whole', async () => ((await (await api()).json()) as StoryJson).missing.length === 0)
    expect(await explain('half', proxied)).toMatchObject({ exitCode: 0, missing: [] })
  })

  test('and while neither can, it says so', async () => {
    redis.cut()
    postgres.cut()
    try {
      const answer = await api()
      expect([answer.status, await answer.json()]).toEqual([
        503,
        expect.objectContaining({ code: 'REDIS_UNAVAILABLE' }),
      ])
      const { code, stdout, stderr } = await runCli(['explain', 'half'], { env: proxied })
      expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(/^REDIS_UNAVAILABLE: /)])
    } finally {
      redis.heal()
      postgres.heal()
    }
  })
})

test('a deadline before all dates that JSON knows is told over HTTP too', async () => {
  await table.insert([{ id: 'never' }, { id: 'of-old' }])
  await table.pool.query(`
    UPDATE orders SET payment_deadline = CASE id WHEN 'never' THEN '-infinity' ELSE '0044-03-15 BC' END::timestamptz
    WHERE id IN ('never', 'of-old')`)
  const url = await (await startDaemon()).url()
  for (const id of ['never', 'of-old']) {
    const story = await fetch(`${url}/v1/orders/${id}/explain`)
    expect([story.status, await story.json()]).toMatchObject([
      200,
      { code: 'UNREADABLE_DEADLINE', outcome: 'set-aside' },
    ])
    const found = await fetch(`${url}/v1/orders/${id}`)
    expect([found.status, await found.json()]).toMatchObject([200, { order: { setAside: 'unreadable' } }])
  }
})
