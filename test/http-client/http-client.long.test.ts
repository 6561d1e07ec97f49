import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { createOrderExpiry, type Problem, read } from './calls.ts'

/*
 * What a service in another language does: takes openapi.json of a running daemon, checks it, generates a client, and calls
 * every operation with it. What is not described does not compile.
 */

const HERE = resolve('test/http-client')
const TOKEN = 'k3QwVb90xGJ5k3QwVb90'
const DESCRIPTION = 'node_modules/.generated/openapi.json'
const HOUR = 3_600_000

const run = promisify(execFile)
/** Runs a tool of this folder's own package. @returns what it printed; rejects if it found something wrong */
async function tool(name: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const { stdout, stderr } = await run(resolve(HERE, 'node_modules/.bin', name), args, { cwd: HERE, env })
  return stdout + stderr
}

let daemon: DaemonProcess
let url: string
let orders: ReturnType<typeof createOrderExpiry>
beforeAll(async () => {
  const QUEUE_NAME = uniqueName('http-client')
  daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME, API_TOKENS: `shop:${TOKEN}` })
  url = await daemon.url()
  const answer = await fetch(`${url}/openapi.json`, { headers: { authorization: `Bearer ${TOKEN}` } })
  mkdirSync(resolve(HERE, 'node_modules/.generated'), { recursive: true })
  writeFileSync(resolve(HERE, DESCRIPTION), await answer.text())
  orders = createOrderExpiry({ url, token: TOKEN })
})
afterAll(() => daemon.stop())

/** What a call answered that was refused: its status and code. */
async function refusalOf(call: Promise<{ error?: unknown; response: Response }>): Promise<[number, string]> {
  const { error, response } = await call
  const [code, detail, status] = read.problem(error as Problem)
  expect([status, detail.length > 0]).toEqual([response.status, true])
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  return [status, code]
}

test('openapi.json has nothing that the recommended rules of Redocly object to', async () => {
  const said = await tool('redocly', 'lint', '--extends=recommended', '--max-problems=20', DESCRIPTION)
  expect(said).toContain('Your API description is valid')
  expect(said).not.toMatch(/warning was generated|error was generated|You have \d+ warning|ignored/i)
})

test('a client generated from it compiles, and so does what reads its answers', async () => {
  await tool('openapi-typescript', DESCRIPTION, '--output', 'node_modules/.generated/order-expiry.d.ts', '--enum=false')
  await tool('tsc', '-p', 'tsconfig.json')
})

describe('the client', () => {
  test('schedules, moves, finds and withdraws an order', async () => {
    const deadline = Date.now() + HOUR
    const first = await orders.schedule('c-1', { deadline })
    expect([first.response.status, first.data && read.schedule(first.data)]).toEqual([201, ['scheduled', deadline]])
    const again = await orders.schedule('c-1', { deadline: new Date(deadline).toISOString() })
    expect([again.response.status, again.data?.result]).toEqual([200, 'unchanged'])
    expect((await orders.schedule('c-2')).data?.result).toBe('scheduled')
    expect((await orders.reschedule('c-1', { timeout: '2h' })).data?.result).toBe('rescheduled')
    const { data } = await orders.find('c-1')
    expect(data && read.find(data)).toEqual(['waiting', 'pending'])
    expect((await orders.withdraw('c-1')).data).toEqual({ orderId: 'c-1', result: 'withdrawn' })
    expect((await orders.withdraw('c-1')).data?.result).toBe('withdrawn')
  })

  test('pays an order, explains it, schedules a batch and reads the forecast', async () => {
    await orders.schedule('p/1', { timeout: '1h' })
    const paid = await orders.pay('p/1')
    expect([paid.data?.result, Date.parse(paid.data?.paidAt ?? '')]).toEqual(['paid', expect.any(Number)])
    const { data: story } = await orders.explain('p/1')
    expect(story && read.explain(story)).toEqual(['kept', expect.any(Number)])
    const { data: unknown } = await orders.explain('p-never')
    expect(unknown?.outcome).toBe('unknown')
    const { data: batch } = await orders.scheduleMany([{ orderId: 'b-1', timeout: '1h' }, { orderId: '' }])
    expect(batch && read.batch(batch)).toEqual(['scheduled', 'INVALID_ORDER_ID'])
    const { data: forecast } = await orders.forecast()
    expect(forecast && read.forecast(forecast)).toEqual([60, expect.any(Number)])
  })

  test('is told of each refusal by its code', async () => {
    await orders.schedule('r-1', { timeout: '1h' })
    expect(await refusalOf(orders.schedule('r-1', { timeout: '2h' }))).toEqual([409, 'DEADLINE_CONFLICT'])
    expect(await refusalOf(orders.schedule('r-2', { timeout: 'soon' }))).toEqual([400, 'INVALID_DEADLINE'])
    expect(await refusalOf(orders.schedule('x'.repeat(201)))).toEqual([400, 'INVALID_ORDER_ID'])
    expect(await refusalOf(orders.scheduleMany([]))).toEqual([400, 'INVALID_REQUEST'])
    for (const call of [orders.find('never'), orders.withdraw('never'), orders.reschedule('never', { timeout: '1h' })])
      expect(await refusalOf(call)).toEqual([404, 'ORDER_UNKNOWN'])
    await orders.pay('r-1')
    expect(await refusalOf(orders.withdraw('r-1'))).toEqual([409, 'ORDER_SETTLED'])
    expect(await refusalOf(orders.reschedule('r-1', { timeout: '2h' }))).toEqual([409, 'ORDER_SETTLED'])
    const stranger = createOrderExpiry({ url, token: 'wrongwrongwrongwrong' })
    for (const call of Object.values({ ...stranger, scheduleMany: () => stranger.scheduleMany([{ orderId: 's' }]) }))
      expect(await refusalOf((call as (id: string, body: object) => never)('s', {}))).toEqual([401, 'UNAUTHORIZED'])
  })

  test('paid of an order that is not there is 404, and scheduling it then cannot cancel it', async () => {
    expect(await refusalOf(orders.pay('early'))).toEqual([404, 'ORDER_UNKNOWN'])
    expect((await orders.pay('early')).data?.result).toBe('paid')
    const { data } = await orders.schedule('early', { timeout: '1s' })
    expect([data?.result, data?.status]).toEqual(['unchanged', 'paid'])
    expect((await orders.find('early')).data?.order?.status).toBe('paid')
    expect(await daemon.until(({ route, status }) => status === 404 && route === '/v1/orders/:id/paid')).toMatchObject({
      level: 'info',
      orderId: 'early',
      result: 'missing',
      by: 'shop',
    })
  })

  test('paid too late is told: the money must go back', async () => {
    await orders.schedule('late', { timeout: '50ms' })
    await eventually('it is cancelled', async () => (await orders.find('late')).data?.order?.status === 'cancelled')
    expect(await refusalOf(orders.pay('late'))).toEqual([409, 'ORDER_ALREADY_CANCELLED'])
  })
})

test("where the shop's own table is the record, paid is refused whether the order is there or not", async () => {
  const table = await OrdersTable.create()
  await table.migrate()
  const env = { ...table.env, REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('http-client') }
  const other = await DaemonProcess.start({ ...env, API_TOKENS: `shop:${TOKEN}` })
  try {
    const shop = createOrderExpiry({ url: await other.url(), token: TOKEN })
    expect(await refusalOf(shop.pay('1'))).toEqual([409, 'NOT_RECORDED_HERE'])
    expect(await refusalOf(shop.find('1'))).toEqual([404, 'ORDER_UNKNOWN'])
    expect((await shop.reschedule('1', { timeout: '1h' })).response.status).toBe(201)
  } finally {
    await other.stop()
    await table.drop()
  }
})
