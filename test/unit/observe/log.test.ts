import { PassThrough } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { OrderExpiryError } from '../../../src/errors.ts'
import { EventBus, type EventName, type Events } from '../../../src/observe/events.ts'
import { createLogger, LOG_LEVELS, type LogLevel, logEvents } from '../../../src/observe/log.ts'
import { NOTHING_SET_ASIDE } from '../../../src/order/set-aside.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { UNSEEN } from '../runtime/unseen.ts'

type Line = Record<string, unknown> & { level: string; msg: string }

/** An event bus whose log lines are kept. */
function createLog(level: LogLevel = 'trace') {
  const lines: Line[] = []
  const events = new EventBus()
  const clock = new FakeClock()
  const logger = pino(
    { level, base: null, timestamp: false, formatters: { level: (label) => ({ level: label }) } },
    { write: (line) => void lines.push(JSON.parse(line)) },
  )
  logEvents({ events, logger, clock })
  return { events, clock, lines, messages: () => lines.map(({ level: label, msg }) => `${label} ${msg}`) }
}

const unavailable = new OrderExpiryError('STORE_UNAVAILABLE', 'connection refused')
const rejected = new OrderExpiryError('STORE_REJECTED', 'stock would be negative')

const asked = { requestId: 'r-1', method: 'POST', status: 200 }

/** An event by its name, with what is logged for it. */
type Wording = { [Name in EventName]: [name: Name, event: Events[Name], line: Line] }[EventName]

const wordings: Wording[] = [
  [
    'service-started',
    { service: 'redis', detail: 'h:6379' },
    { level: 'info', msg: 'redis started', service: 'redis', detail: 'h:6379' },
  ],
  [
    'waiting-for',
    { service: 'store', error: unavailable, waitMs: 300 },
    {
      level: 'warn',
      msg: 'waiting for store: connection refused',
      service: 'store',
      code: 'STORE_UNAVAILABLE',
      waitMs: 300,
    },
  ],
  ['ready', { startedInMs: 42 }, { level: 'info', msg: 'ready', startedInMs: 42 }],
  ['stopping', { reason: 'SIGTERM' }, { level: 'info', msg: 'stopping: SIGTERM', reason: 'SIGTERM' }],
  ['stopped', { errors: [] }, { level: 'info', msg: 'stopped' }],
  [
    'checks-finished',
    { checks: [{ orderId: '7', jobId: 'order-7', outcome: 'cancelled', status: 'pending', lateMs: 3 }] },
    {
      level: 'debug',
      msg: 'order cancelled',
      orderId: '7',
      jobId: 'order-7',
      outcome: 'cancelled',
      status: 'pending',
      lateMs: 3,
    },
  ],
  [
    'checks-finished',
    { checks: [{ orderId: '7', jobId: 'order-7', outcome: 'kept', status: 'paid' }] },
    { level: 'debug', msg: 'order kept', orderId: '7', jobId: 'order-7', outcome: 'kept', status: 'paid' },
  ],
  [
    'checks-finished',
    { checks: [{ orderId: '7', jobId: 'order-7', outcome: 'missing' }] },
    {
      level: 'warn',
      msg: 'the order of this check does not exist',
      orderId: '7',
      jobId: 'order-7',
      outcome: 'missing',
    },
  ],
  [
    'check-postponed',
    { orderId: '7', jobId: 'order-7', delayMs: 300, why: 'locked' },
    { level: 'debug', msg: 'check postponed', orderId: '7', jobId: 'order-7', delayMs: 300, why: 'locked' },
  ],
  [
    'check-retried',
    { orderId: '7', jobId: 'order-7', delayMs: 900, error: rejected },
    {
      level: 'warn',
      msg: 'check failed and will be tried again: stock would be negative',
      orderId: '7',
      jobId: 'order-7',
      delayMs: 900,
      code: 'STORE_REJECTED',
    },
  ],
  [
    'check-given-up',
    { orderId: '7', jobId: 'order-7', error: rejected },
    {
      level: 'error',
      msg: 'check given up: stock would be negative',
      orderId: '7',
      jobId: 'order-7',
      code: 'STORE_REJECTED',
    },
  ],
  [
    'batch-settled',
    { by: 'worker', checks: 2, tookMs: 5, outcomes: { cancelled: 1, kept: 1 } },
    { level: 'info', msg: 'batch settled', by: 'worker', checks: 2, tookMs: 5, outcomes: { cancelled: 1, kept: 1 } },
  ],
  [
    'batch-settled',
    { by: 'worker', checks: 2, tookMs: 5, outcomes: { kept: 1, postponed: 1 } },
    { level: 'debug', msg: 'batch settled', by: 'worker', checks: 2, tookMs: 5, outcomes: { kept: 1, postponed: 1 } },
  ],
  [
    'batch-settled',
    { by: 'sweep', checks: 2, tookMs: 5, outcomes: { cancelled: 1, failed: 1 }, error: rejected },
    { level: 'info', msg: 'batch settled', by: 'sweep', checks: 2, tookMs: 5, outcomes: { cancelled: 1, failed: 1 } },
  ],
  [
    'order-swept',
    { orderId: '7', outcome: 'cancelled' },
    { level: 'debug', msg: 'order cancelled', orderId: '7', outcome: 'cancelled', by: 'sweep' },
  ],
  ['would-cancel', { orderId: '7' }, { level: 'info', msg: 'dry run: this order would be cancelled', orderId: '7' }],
  [
    'dry-run-full',
    { orders: 100_000 },
    {
      level: 'warn',
      msg: 'dry run: no more orders are reported one by one; `order-expiry sweep --dry-run` lists them all',
      orders: 100_000,
    },
  ],
  [
    'batch-settled',
    { by: 'worker', checks: 2, tookMs: 5, outcomes: { cancelled: 1, failed: 1 }, error: unavailable },
    {
      level: 'warn',
      code: unavailable.code,
      msg: `batch failed in whole or in part: ${unavailable.message}`,
      by: 'worker',
      checks: 2,
      tookMs: 5,
      outcomes: { cancelled: 1, failed: 1 },
    },
  ],
  [
    'clock-differs',
    { of: 'redis', offsetMs: 600_000 },
    {
      level: 'warn',
      msg: 'the clock of Redis is 600.0 s ahead of ours: set both by NTP',
      of: 'redis',
      offsetMs: 600_000,
    },
  ],
  [
    'clock-differs',
    { of: 'store', offsetMs: -2_100 },
    {
      level: 'warn',
      msg: 'the clock of the order store is 2.1 s behind ours: set both by NTP',
      of: 'store',
      offsetMs: -2_100,
    },
  ],
  [
    'clock-agrees',
    { of: 'store' },
    { level: 'warn', msg: 'the clock of the order store agrees with ours again', of: 'store' },
  ],
  [
    'claims-wrapped',
    { scripts: ['moveToActive', 'moveToFinished'], known: '6.7.0' },
    {
      level: 'warn',
      msg: "the installed BullMQ has other scripts than we know (moveToActive, moveToFinished): checks go by BullMQ's own, by which a burst takes about 1.5 times as long; nothing else changes; install bullmq 6.7.0, or compare them: `npm run fingerprints` (docs/redis.md)",
      scripts: ['moveToActive', 'moveToFinished'],
      known: '6.7.0',
    },
  ],
  ['worker-error', { error: new TypeError('x') }, { level: 'warn', msg: 'worker: x', code: 'TypeError' }],
  [
    'worker-error',
    { error: Object.assign(new Error('x'), { code: 7 }) },
    { level: 'warn', msg: 'worker: x', code: 'Error' },
  ],
  [
    'redis-error',
    { connection: 'board', error: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }) },
    { level: 'warn', msg: 'Redis: connect', connection: 'board', code: 'ECONNREFUSED' },
  ],
  [
    'traces-error',
    { error: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }) },
    { level: 'warn', msg: 'traces: connect', code: 'ECONNREFUSED' },
  ],
  [
    'orders-set-aside',
    {
      at: Date.UTC(2026, 10, 29),
      backlog: { orders: 3_000, oldest: Date.UTC(2024, 10, 29) },
      unreadable: { orders: 0, examples: [] },
    },
    {
      level: 'warn',
      msg: 'backlog: 3,000 unpaid orders overdue for more than a day when order-expiry first saw the table, the oldest due 2024-11-29T00:00:00.000Z, 730.0 days ago; left alone until `order-expiry sweep --backlog`; look first: `order-expiry sweep --backlog --dry-run`',
      why: 'backlog',
      orders: 3_000,
      oldest: Date.UTC(2024, 10, 29),
    },
  ],
  [
    'orders-set-aside',
    { at: Date.UTC(2026, 10, 29), backlog: { orders: 0 }, unreadable: { orders: 10_000, examples: ['7', '8'] } },
    {
      level: 'warn',
      msg: 'unreadable: 10,000 unpaid orders or more with a deadline that cannot be meant (before 2001), such as 7 8; never cancelled until the deadline is corrected in the table',
      why: 'unreadable',
      orders: 10_000,
      examples: ['7', '8'],
    },
  ],
  [
    'orders-set-aside',
    { at: Date.UTC(2026, 10, 29), ...NOTHING_SET_ASIDE },
    { level: 'info', msg: 'no unpaid orders are set aside any longer' },
  ],
  ['store-error', { error: new Error('terminated') }, { level: 'warn', msg: 'order store: terminated', code: 'Error' }],
  [
    'embedded-redis-exited',
    { code: null, signal: 'SIGKILL' },
    { level: 'error', msg: 'the embedded Redis exited unexpectedly; restarting it', code: null, signal: 'SIGKILL' },
  ],
  [
    'orders-changed',
    { by: 'till', ...asked, route: '/v1/orders/:id/paid', orderId: '7', result: 'paid' },
    {
      level: 'info',
      msg: 'till over the API: order 7 paid',
      by: 'till',
      ...asked,
      route: '/v1/orders/:id/paid',
      orderId: '7',
      result: 'paid',
    },
  ],
  [
    'orders-changed',
    { by: 'shop', ...asked, route: '/v1/orders/batch', orders: 3, results: { scheduled: 2, failed: 1 } },
    {
      level: 'info',
      msg: 'shop over the API: a batch of 3 orders',
      by: 'shop',
      ...asked,
      route: '/v1/orders/batch',
      orders: 3,
      results: { scheduled: 2, failed: 1 },
    },
  ],
  [
    'metrics-closed',
    {},
    {
      level: 'warn',
      msg: '/metrics is closed to other machines and proxies: set METRICS_TOKEN, to a token or to open',
    },
  ],
]

/** Emits an event of which only the table above knows the name. */
const emit = (events: EventBus, name: EventName, event: Events[EventName]) => events.emit(name, event as never)

describe('the wording', () => {
  test.each(wordings)('of %s %j', (name, event, line) => {
    const { events, lines } = createLog()
    emit(events, name, event)
    expect(lines).toEqual([line])
  })

  test('of the end names each error before it', () => {
    const { events, messages } = createLog()
    events.emit('stopped', { errors: [new OrderExpiryError('STOP_INCOMPLETE', 'worker did not stop'), unavailable] })
    expect(messages()).toEqual(['error worker did not stop', 'error connection refused', 'info stopped'])
  })

  test('of an error without a message shows its code, as Node has it for a host with several addresses', () => {
    const { events, messages } = createLog()
    const error = Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' })
    events.emit('redis-error', { connection: 'board', error })
    events.emit('store-error', { error })
    events.emit('worker-error', { error })
    expect(messages()).toEqual([
      'warn Redis: ECONNREFUSED',
      'warn order store: ECONNREFUSED',
      'warn worker: ECONNREFUSED',
    ])
  })
})

/** Kinds of trouble that come by the thousand in an outage: one line is enough. */
const troubles: { [Name in EventName]?: Events[Name] } = {
  'waiting-for': { service: 'redis', error: unavailable, waitMs: 1 },
  'check-retried': { orderId: '7', jobId: 'order-7', delayMs: 1, error: rejected },
  'batch-settled': { by: 'worker', checks: 1, tookMs: 1, outcomes: { failed: 1 }, error: unavailable },
  'worker-error': { error: new Error('x') },
  'redis-error': { connection: 'board', error: new Error('x') },
  'store-error': { error: new Error('x') },
  'traces-error': { error: new Error('x') },
}

describe.each(Object.entries(troubles))('the same trouble, %s,', (name, event) => {
  const emitTimes = (events: EventBus, times: number) => {
    for (let n = 0; n < times; n++) emit(events, name as EventName, event)
  }

  test('is logged once in five seconds, then with the number of lines left out', async () => {
    const { events, clock, lines } = createLog()
    emitTimes(events, 1_000)
    await clock.advance(4_999)
    emitTimes(events, 1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).not.toHaveProperty('alsoLeftOut')
    await clock.advance(1)
    emitTimes(events, 3)
    expect(lines).toHaveLength(2)
    expect(lines[1]).toMatchObject({ alsoLeftOut: 1_000 })
    await clock.advance(5_000)
    emitTimes(events, 1)
    expect(lines[2]).toMatchObject({ alsoLeftOut: 2 })
    await clock.advance(5_000)
    emitTimes(events, 1)
    expect(lines[3]).not.toHaveProperty('alsoLeftOut')
  })
})

describe('another trouble', () => {
  test('is logged beside the first, six lines within any second, the others when they come again', async () => {
    const { events, lines, clock } = createLog()
    const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const all = () => {
      for (const error of [reset, refused, reset, refused]) {
        events.emit('redis-error', { connection: 'board', error })
        events.emit('store-error', { error })
        events.emit('worker-error', { error })
      }
      for (const service of ['redis', 'store', 'redis']) {
        events.emit('waiting-for', { service, error: unavailable, waitMs: 1 })
      }
      for (const error of [rejected, unavailable, rejected]) {
        events.emit('check-retried', { orderId: '7', jobId: 'order-7', delayMs: 1, error })
      }
    }
    all()
    expect(lines).toHaveLength(6)
    await clock.advance(999)
    all()
    expect(lines).toHaveLength(6)
    await clock.advance(1)
    all()
    expect(lines).toHaveLength(3 * 2 + 2 + 2)
  })
})

describe('an outage with thousands of orders due', () => {
  test('fills the log with a bounded number of lines', async () => {
    const { events, clock, lines } = createLog('info')
    for (let second = 0; second < 60; second++) {
      for (let batch = 0; batch < 100; batch++) {
        events.emit('batch-settled', {
          by: 'worker',
          checks: 250,
          tookMs: 3,
          outcomes: { failed: 250 },
          error: unavailable,
        })
        events.emit('store-error', { error: new Error('connect ECONNREFUSED') })
        events.emit('check-postponed', { orderId: '7', jobId: 'order-7', delayMs: 5_000, why: 'STORE_UNAVAILABLE' })
      }
      await clock.advance(1_000)
    }
    expect(lines.length).toBeLessThan(60)
  })
})

describe('a flood of wrong passwords', () => {
  const wrong = { door: 'api', route: '/v1/orders/:id', address: '192.0.2.1', isLimited: false, addresses: 1 }
  const finished = { requestId: 'r', method: 'GET', route: '/livez', status: 200, tookMs: 1, by: 'anonymous' }

  test('is a line every five seconds, with route, address and count; the rest comes with the next request, or at the end', async () => {
    const { events, clock, lines } = createLog('info')
    const second = async () => {
      for (let n = 0; n < 1_000; n++) events.emit('wrong-credentials', { ...wrong, isLimited: n >= 20 })
      await clock.advance(1_000)
    }
    for (let n = 0; n < 12; n++) await second()
    expect(lines.map(({ count }) => count)).toEqual([1, 5_000, 5_000])
    expect(lines[0]).toEqual({
      level: 'warn',
      msg: 'wrong passwords or tokens: 1, the last from 192.0.2.1 for /v1/orders/:id',
      route: '/v1/orders/:id',
      address: '192.0.2.1',
      count: 1,
      addresses: 1,
    })
    await clock.advance(5_000)
    events.emit('request-finished', finished)
    events.emit('request-finished', finished)
    expect(lines.map(({ count }) => count)).toEqual([1, 5_000, 5_000, 1_999])
    await second()
    events.emit('stopped', { errors: [] })
    expect(lines.reduce((sum, { count = 0 }) => sum + (count as number), 0)).toBe(13_000)
  })
})

describe('what goes well by the thousand', () => {
  const batch = { by: 'worker' as const, checks: 250, tookMs: 3, outcomes: { cancelled: 200, kept: 50 } }

  test('is logged twice a second, and the rest as a sum', async () => {
    const { events, clock, lines } = createLog('info')
    for (let n = 0; n < 10; n++) events.emit('batch-settled', batch)
    expect(lines).toHaveLength(2)
    await clock.advance(1_000)
    events.emit('batch-settled', batch)
    expect(lines.slice(2)).toEqual([
      {
        level: 'info',
        msg: 'more batches settled',
        batches: 8,
        checks: 2_000,
        outcomes: { cancelled: 1_600, kept: 400 },
      },
      { level: 'info', msg: 'batch settled', ...batch },
    ])
  })

  test('loses nothing of the sum: the next sweep logs it, or the end', async () => {
    const { events, clock, lines } = createLog('info')
    const sweep = { overdue: 0, outcomes: {}, upcoming: 0, added: 0, tookMs: 1 }
    for (let n = 0; n < 3; n++) events.emit('batch-settled', batch)
    for (let n = 0; n < 5; n++) events.emit('would-cancel', { orderId: `${n}` })
    expect(lines).toHaveLength(4)
    await clock.advance(5_000)
    events.emit('sweep-finished', sweep)
    expect(lines.slice(4)).toEqual([
      { level: 'info', msg: 'more batches settled', batches: 1, checks: 250, outcomes: { cancelled: 200, kept: 50 } },
      { level: 'info', msg: 'dry run: more orders would be cancelled', orders: 3 },
    ])
    for (let n = 0; n < 3; n++) events.emit('would-cancel', { orderId: `${n}` })
    events.emit('stopped', { errors: [] })
    expect(lines.slice(-2)).toEqual([
      { level: 'info', msg: 'dry run: more orders would be cancelled', orders: 1 },
      { level: 'info', msg: 'stopped' },
    ])
  })

  test('is not logged once more by the sweeps that stand in for the workers; what they missed is', () => {
    const { events, lines } = createLog('info')
    const sweep = { overdue: 250, outcomes: { cancelled: 250 }, upcoming: 0, added: 0, tookMs: 9 }
    events.emit('sweep-finished', { ...sweep, standsIn: true })
    expect(lines).toEqual([])
    const error = new OrderExpiryError('STORE_BUSY', 'too many connections')
    events.emit('sweep-finished', { ...sweep, standsIn: true, error })
    events.emit('sweep-finished', sweep)
    expect(lines.map(({ level, code }) => [level, code])).toEqual([
      ['warn', 'STORE_BUSY'],
      ['info', undefined],
    ])
  })

  test('writes a handful of lines a second: a brake that holds thousands back, a dry run, a rush', async () => {
    const { events, clock, lines } = createLog('info')
    for (let tick = 0; tick < 600; tick++) {
      for (let n = 0; n < 20; n++) {
        events.emit('batch-settled', { by: 'worker', checks: 250, tookMs: 3, outcomes: { postponed: 250 } })
        events.emit('batch-settled', batch)
        events.emit('would-cancel', { orderId: `${tick} ${n}` })
      }
      await clock.advance(100)
    }
    expect(lines.length).toBeLessThanOrEqual(60 * 10)
    const logged = lines.reduce((sum, line) => sum + ((line.batches as number) ?? (line.checks ? 1 : 0)), 0)
    expect(logged).toBeGreaterThan(11_900 - 20 * 11)
  })
})

test('a check of an order that stays locked is told of once it is overdue by ten seconds, and not too often', async () => {
  const { events, clock, lines } = createLog('info')
  const postponed = { orderId: '7', jobId: 'order-7', delayMs: 2_000, why: 'locked' }
  events.emit('check-postponed', { ...postponed, lateMs: 10_000 })
  events.emit('check-postponed', { ...postponed, why: 'brake', lateMs: 20_000 })
  expect(lines).toEqual([])
  for (let n = 0; n < 20_000; n++) events.emit('check-postponed', { ...postponed, lateMs: 10_001 })
  const msg = 'an overdue order stays unpaid: another transaction has locked its row; it is looked at again'
  expect(lines).toEqual([{ level: 'warn', msg, ...postponed, lateMs: 10_001 }])
  await clock.advance(5_000)
  events.emit('check-postponed', { ...postponed, lateMs: 15_001 })
  expect(lines[1]).toMatchObject({ msg, alsoLeftOut: 19_999 })
})

describe('an overdue order that stays unpaid', () => {
  const swept = { overdue: 3, outcomes: { postponed: 3 }, upcoming: 0, added: 0, tookMs: 1 }
  const oldest = { orderId: '7', deadline: 1, lateMs: 30_001, why: 'locked' }

  test('is named, with why, and not too often', async () => {
    const { events, clock, lines } = createLog('info')
    for (let n = 0; n < 3; n++) events.emit('sweep-finished', { ...swept, left: { orders: 3, oldest } })
    expect(lines).toEqual([
      {
        level: 'warn',
        msg: 'overdue orders stay unpaid; this is the oldest: locked',
        orders: 3,
        ...oldest,
      },
    ])
    await clock.advance(60_000)
    events.emit('sweep-finished', { ...swept, left: { orders: 3, oldest } })
    expect(lines).toHaveLength(2)
  })

  test.each([
    ['for less than half a minute', { ...oldest, lateMs: 30_000 }],
    ['by the brake', { ...oldest, why: 'brake' }],
    ['by a dry run', { ...oldest, why: 'dry-run' }],
  ])('is no news where it is left %s', (_, left) => {
    const { events, lines } = createLog('info')
    events.emit('sweep-finished', { ...swept, left: { orders: 3, oldest: left } })
    expect(lines).toEqual([])
  })

  test('is told of once where it is the one that could not be settled', () => {
    const { events, lines } = createLog('info')
    const failed = { orderId: '7', error: rejected }
    events.emit('sweep-finished', { ...swept, outcomes: { failed: 3 }, failed, left: { orders: 3, oldest } })
    expect(lines).toMatchObject([{ orderId: '7', code: 'STORE_REJECTED' }])
  })
})

describe('a logger', () => {
  test.each(LOG_LEVELS)('of level %s has that level', (level) => {
    expect(createLogger({ level, pretty: false, secrets: [], stdout: process.stdout }).level).toBe(level)
  })

  test('leaves out what is below its level', () => {
    const { events, messages } = createLog('warn')
    events.emit('ready', { startedInMs: 1 })
    events.emit('store-error', { error: new Error('gone') })
    expect(messages()).toEqual(['warn order store: gone'])
  })

  test('lets no secret pass, whoever worded the line', () => {
    const stdout = new PassThrough()
    const logger = createLogger({ level: 'trace', pretty: false, secrets: ['hunter2', '1234', 'level'], stdout })
    logger.error(
      { orderId: 'level 7', tookMs: 12344.678901, cause: { token: 't', url: 'redis://:pw@h' } },
      'no hunter2',
    )
    logger.error(new Error('bad hunter2'))
    logger.info('A'.repeat(3_000))
    const [first, second, third] = String(stdout.read())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(first).toMatchObject({
      level: 'error',
      msg: 'no [redacted]',
      orderId: '[redacted] 7',
      tookMs: 12345,
      cause: { token: '[redacted]', url: 'redis://:[redacted]@h' },
    })
    expect(second).toMatchObject({
      msg: 'bad [redacted]',
      err: {
        type: 'Error',
        message: 'bad [redacted]',
        stack: expect.stringMatching(/^Error: bad \[redacted\]\n +at /),
      },
    })
    expect(third.msg).toBe(`${'A'.repeat(2_000)}…`)
  })

  test('writes nothing that a terminal obeys or hides, and nothing that could be a line of its own', () => {
    const stdout = new PassThrough()
    const logger = createLogger({ level: 'trace', pretty: false, secrets: [], stdout })
    logger.error({ by: UNSEEN, [UNSEEN]: 1, cause: new Error(UNSEEN) }, UNSEEN)
    const written = String(stdout.read())
    expect(written).toMatch(/^[\x20-\x7e]+\n$/)
    expect(JSON.parse(written)).toMatchObject({ by: UNSEEN, [UNSEEN]: 1, msg: UNSEEN })
  })
})
