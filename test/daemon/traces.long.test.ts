import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { context, SpanKind, type Tracer, trace } from '@opentelemetry/api'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { Queue } from 'bullmq'
import { BullMQOtel } from 'bullmq-otel'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { openShop } from '../helpers/open-shop.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

/** A span as OTLP/JSON has it (opentelemetry-proto, trace.proto). */
interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  attributes: { key: string; value: Record<string, unknown> }[]
  events: { name: string; attributes: { key: string; value: Record<string, unknown> }[] }[]
  links?: { traceId: string; spanId: string }[]
  /** 2: error. */
  status: { code?: number }
}

/** What receives the daemon's spans. */
class Collector {
  readonly spans: Span[] = []
  readonly headers: Record<string, unknown>[] = []
  resource: Record<string, unknown> = {}
  readonly #server: Server

  constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString())
      for (const { resource, scopeSpans } of resourceSpans) {
        this.resource = Object.fromEntries(
          resource.attributes.map(({ key, value }: { key: string; value: { stringValue: string } }) => [
            key,
            value.stringValue,
          ]),
        )
        for (const { spans } of scopeSpans) this.spans.push(...spans)
      }
      this.headers.push({ ...request.headers, url: request.url })
      response.setHeader('content-type', 'application/json').end('{}')
    })
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  checkOf(jobId: string): Promise<Span> {
    return eventually(`the span of ${jobId}`, () =>
      this.spans.find((span) => span.kind === 5 && attributeOf(span, 'bullmq.job.id') === jobId),
    )
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

function attributeOf({ attributes }: Pick<Span, 'attributes'>, key: string): unknown {
  const { value = {} } = attributes.find((attribute) => attribute.key === key) ?? {}
  return Object.values(value)[0]
}

function namesOf({ spans }: Collector): string[] {
  return [...new Set(spans.map(({ name }) => name))].sort()
}

/** The shop has traces of its own, in this process. */
const shopSpans = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(shopSpans)] })

const collector = new Collector()
let tracer: Tracer
let raw: RawQueue
let daemon: DaemonProcess
let url: string
beforeAll(async () => {
  provider.register()
  tracer = trace.getTracer('shop')
  raw = new RawQueue()
  daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.listen(),
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  })
  url = await daemon.url()
})
afterAll(async () => {
  await daemon.stop()
  collector.close()
  await raw.close()
  await provider.shutdown()
})

/** Places an order within a span of the shop, as its handler of a request would. */
async function within<T>(work: () => Promise<T>): Promise<{ traceId: string; result: T }> {
  const span = tracer.startSpan('place order')
  try {
    const result = await context.with(trace.setSpan(context.active(), span), work)
    return { traceId: span.spanContext().traceId, result }
  } finally {
    span.end()
  }
}

/** The check is a trace of its own, linked to the one within which it was added, by the span that added it. */
function expectLinked(check: Span, traceId: string): void {
  const producer = shopSpans
    .getFinishedSpans()
    .find((span) => span.kind === SpanKind.PRODUCER && span.spanContext().traceId === traceId)
  expect(check.links?.map((link) => [link.traceId, link.spanId])).toEqual([[traceId, producer?.spanContext().spanId]])
  expect(check.traceId).not.toBe(traceId)
  expect(check.parentSpanId ?? '').toBe('')
}

test('the check of an order that the library schedules is linked to the span that scheduled it', async () => {
  const shop = new OrderExpiry({
    redis: redisUrl(),
    queueName: raw.name,
    orders: 'redis',
    telemetry: new BullMQOtel({ tracerName: 'shop' }),
  })
  closing.push(() => shop.close())
  const { traceId, result } = await within(() => shop.schedule({ orderId: 'traced-1', deadline: '1s' }))
  const bulk = await within(() => shop.scheduleMany([{ orderId: 'traced-2', deadline: '1s' }]))
  // It ends with the call, not at the deadline.
  expect(shopSpans.getFinishedSpans().map(({ name }) => name)).toEqual([
    `add ${raw.name}`,
    'place order',
    `addBulk ${raw.name}`,
    'place order',
  ])
  const check = await collector.checkOf('order-traced-1')
  expectLinked(check, traceId)
  expect(check.name).toBe(`process ${raw.name}`)
  expect(Number(check.startTimeUnixNano) / 1e6).toBeGreaterThanOrEqual(result.deadline.getTime() - 1)
  const [event] = check.events
  expect(event?.name).toBe('job completed')
  expect(String(attributeOf(event as Span['events'][number], 'bullmq.job.result'))).toContain('"outcome":"cancelled"')
  expect(check.status.code ?? 0).toBe(0)
  expect(attributeOf(check, 'bullmq.job.attempts.made')).toBe(1)
  expectLinked(await collector.checkOf('order-traced-2'), bulk.traceId)
})

test('so is that of a job of plain BullMQ, with its telemetry', async () => {
  const queue = new Queue(raw.name, { connection: raw.redis, telemetry: new BullMQOtel({ tracerName: 'shop' }) })
  const { traceId } = await within(() =>
    queue.add('check-payment', { orderId: 'plain', deadline: Date.now() + 200 }, { jobId: 'plain', delay: 200 }),
  )
  expectLinked(await collector.checkOf('plain'), traceId)
  await queue.close()
})

test.each([
  ['PUT', '/v1/orders/http-1', { timeout: '1s' }, 'order-http-1'],
  ['POST', '/v1/orders/batch', { orders: [{ orderId: 'http-2', timeout: '1s' }] }, 'order-http-2'],
])('so is that of an order that comes by HTTP, to the caller: %s %s', async (method, path, body, jobId) => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      baggage: 'buyer=ann',
    },
    body: JSON.stringify(body),
  })
  expect(response.ok).toBe(true)
  expect(await raw.redis.hget(`bull:${raw.name}:${jobId}`, 'opts')).not.toContain('buyer')
  const check = await collector.checkOf(jobId)
  const [link] = check.links ?? []
  const added = await eventually('the span that added it', () =>
    collector.spans.find(({ spanId }) => spanId === link?.spanId),
  )
  expect(added).toMatchObject({ traceId, parentSpanId: 'b7ad6b7169203331', kind: 4 })
})

test.each([
  ['no JSON', 'x'],
  ['null', 'null'],
  ['a number', 7],
  ['another header', '{"traceparent": 7}'],
])('a trace context that is %s does not keep an order from being checked', async (_what, metadata) => {
  const { id } = await raw.queue.add(
    'check-payment',
    { orderId: 'odd', deadline: Date.now() },
    { telemetry: { metadata: metadata as string } },
  )
  const check = await collector.checkOf(id as string)
  expect(check.links ?? []).toEqual([])
  expect(await raw.queue.getJobState(id as string)).toBe('completed')
})

test('a check that fails for good is marked as failed, with the reason, and linked too', async () => {
  const queue = new Queue(raw.name, { connection: raw.redis, telemetry: new BullMQOtel({ tracerName: 'shop' }) })
  const { traceId } = await within(() => queue.add('check-payment', { deadline: 'soon' }, { jobId: 'bad' }))
  const check = await collector.checkOf('bad')
  expectLinked(check, traceId)
  expect(check.status.code).toBe(2)
  expect(check.events.map(({ name }) => name)).toEqual(['job failed', 'exception'])
  const [failed, exception] = check.events as [Span['events'][number], Span['events'][number]]
  expect(attributeOf(failed, 'bullmq.job.failed.reason')).toMatch(/^INVALID_JOB: /)
  expect(attributeOf(exception, 'exception.type')).toBe('INVALID_JOB')
  await queue.close()
})

test('a check that is postponed says why, and the next one is a trace of its own', async () => {
  const deadline = Date.now() + 1_000
  await raw.queue.add('check-payment', { orderId: 'early', deadline }, { jobId: 'early' })
  const early = await collector.checkOf('early')
  expect(early.events.map((event) => [event.name, attributeOf(event, 'order_expiry.why')])).toEqual([
    ['job delayed', 'not-due'],
  ])
  const later = await eventually('the next one', () =>
    collector.spans.find((span) => span !== early && attributeOf(span, 'bullmq.job.id') === 'early'),
  )
  expect(later.traceId).not.toBe(early.traceId)
  expect(early.status.code ?? 0).toBe(0)
})

test('the collector is told who sends, and given its headers', () => {
  expect(collector.resource).toMatchObject({
    'service.name': 'order-expiry',
    'service.instance.id': expect.stringMatching(/:\d+$/),
    'deployment.environment.name': 'test',
  })
  expect(collector.headers[0]).toMatchObject({ url: '/v1/traces', 'x-key': 'a b' })
})

test('what the worker does by itself is not traced', () => {
  expect(namesOf(collector)).toEqual([`add ${raw.name}`, `addBulk ${raw.name}`, `process ${raw.name}`])
})

test('after an outage of the order store, a check is linked to what added it, and to nothing else', async () => {
  const { table, raw: queue, env } = await openShop()
  const proxy = await TcpProxy.to(databaseUrl())
  const spans = new Collector()
  const away = await DaemonProcess.start({
    ...env,
    DATABASE_URL: proxy.urlOf(databaseUrl()),
    OTEL_EXPORTER_OTLP_ENDPOINT: await spans.listen(),
    OTEL_BSP_SCHEDULE_DELAY: '50',
  })
  closing.push(
    () => spans.close(),
    () => proxy.close(),
    () => away.stop(),
  )
  await table.insert(['1', '2', '3'].map((id) => ({ id, deadline: Date.now() - 1_000 })))
  const add = (orderId: string, opts: object = {}) =>
    queue.queue.add('check-payment', { orderId, deadline: Date.now() }, { jobId: `job-${orderId}`, ...opts })
  const linked = { telemetry: { metadata: `{"traceparent":"00-${'a'.repeat(32)}-${'b'.repeat(16)}-01"}` } }
  proxy.cut()
  await add('1', linked)
  await away.until(({ msg }) => msg.startsWith('the order store fails'))
  proxy.heal()
  await away.until(({ msg }) => msg.startsWith('the order store answers again'))
  await eventually('it is settled', async () => (await queue.queue.getJobState('job-1')) === 'completed')
  await add('2')
  await add('3', { telemetry: { metadata: '?' } })
  expect((await spans.checkOf('job-1')).links).toMatchObject([{ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }])
  for (const jobId of ['job-2', 'job-3']) expect((await spans.checkOf(jobId)).links ?? []).toEqual([])
  expect(namesOf(spans).filter((name) => !name.startsWith('process '))).toEqual([])
})

describe('a collector that is away', () => {
  test('costs some lines of the log and no order, and does not hold up the stop', async () => {
    const queue = new RawQueue()
    const lonely = await DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: queue.name,
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    })
    closing.push(
      () => queue.close(),
      () => lonely.stop(),
    )
    await queue.queue.addBulk(
      Array.from({ length: 2_000 }, (_, n) => ({
        name: 'check-payment',
        data: { orderId: `lonely-${n}`, deadline: Date.now() },
      })),
    )
    await eventually('all are checked', async () => (await queue.queue.getCompletedCount()) === 2_000)
    expect(await lonely.until(({ msg }) => msg.startsWith('traces:'))).toMatchObject({
      msg: 'traces: connect ECONNREFUSED 127.0.0.1:9',
      code: 'ECONNREFUSED',
    })
    const askedAt = Date.now()
    expect(await lonely.stop()).toBe(0)
    expect(Date.now() - askedAt).toBeLessThan(10_000)
    expect(lonely.logs.filter(({ msg }) => msg.startsWith('traces:')).length).toBeLessThan(10)
  })
})

test('a daemon without an endpoint writes no trace context, even if it is asked by HTTP within a trace', async () => {
  const queue = new RawQueue()
  const plain = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: queue.name })
  closing.push(
    () => queue.close(),
    () => plain.stop(),
  )
  await fetch(`${await plain.url()}/v1/orders/plain-1`, {
    method: 'PUT',
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  })
  expect(await queue.redis.hget(`bull:${queue.name}:order-plain-1`, 'opts')).not.toContain('tm')
})
