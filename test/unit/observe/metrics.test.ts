import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { EventBus } from '../../../src/observe/events.ts'
import { createMetrics } from '../../../src/observe/metrics.ts'
import type { Vitals } from '../../../src/observe/vitals.ts'
import { NOTHING_SET_ASIDE } from '../../../src/order/set-aside.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { fakeVitals } from '../../helpers/fake-vitals.ts'

function createRegistry(given: Partial<Vitals> = {}) {
  const events = new EventBus()
  const clock = new FakeClock()
  const vitals = fakeVitals({ clock, ...given })
  const registry = createMetrics({ events, vitals })
  /** The samples as Prometheus reads them, by name and labels. */
  const scrape = async () =>
    Object.fromEntries(
      (await registry.metrics())
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    )
  return { events, clock, vitals, registry, scrape }
}

const error = new OrderExpiryError('STORE_REJECTED', 'no')
const swept = { overdue: 0, outcomes: {}, upcoming: 0, added: 0, tookMs: 1 }

test('every name of ours begins with order_expiry_, counters end in _total and nothing else does, and each has a help', async () => {
  const metrics = await createRegistry().registry.getMetricsAsJSON()
  const names = metrics.map(({ name }) => name)
  const ours = names.filter((name) => !/^(process|nodejs)_/.test(name))
  expect(ours.sort()).toEqual([
    'order_expiry_batch_size_checks',
    'order_expiry_brake_engaged',
    'order_expiry_brake_held_total',
    'order_expiry_brake_unknown',
    'order_expiry_build_info',
    'order_expiry_check_lateness_seconds',
    'order_expiry_checks_early_total',
    'order_expiry_checks_given_up_total',
    'order_expiry_claims_wrapped',
    'order_expiry_clock_offset_seconds',
    'order_expiry_decisions_total',
    'order_expiry_dry_run',
    'order_expiry_event_failures_total',
    'order_expiry_events_delivered_total',
    'order_expiry_http_requests_total',
    'order_expiry_jobs',
    'order_expiry_loop_silent_seconds',
    'order_expiry_oldest_backlog_seconds',
    'order_expiry_oldest_overdue_seconds',
    'order_expiry_outbox_events',
    'order_expiry_outbox_oldest_seconds',
    'order_expiry_outbox_up',
    'order_expiry_overdue_orders',
    'order_expiry_overdue_up',
    'order_expiry_paid_late_total',
    'order_expiry_payment_verdicts_total',
    'order_expiry_queue_paused',
    'order_expiry_queue_up',
    'order_expiry_redis_emptied_total',
    'order_expiry_redis_errors_total',
    'order_expiry_set_aside_orders',
    'order_expiry_set_aside_up',
    'order_expiry_settle_lateness_seconds',
    'order_expiry_store_breaker_open',
    'order_expiry_store_failures_total',
    'order_expiry_store_up',
    'order_expiry_sweep_checks_added_total',
    'order_expiry_sweep_failed_total',
    'order_expiry_sweep_rescued_total',
    'order_expiry_sweeps_total',
    'order_expiry_upcoming_checks',
    'order_expiry_worker_refused',
    'order_expiry_wrong_credentials_total',
  ])
  expect(names).toEqual(expect.arrayContaining(['nodejs_eventloop_lag_seconds', 'process_resident_memory_bytes']))
  for (const { name, type, help } of metrics) {
    expect([name, String(type) === 'counter']).toEqual([name, name.endsWith('_total')])
    if (ours.includes(name)) expect(help).toMatch(/\.$/)
  }
})

describe('a counter follows its event:', () => {
  test('decisions of checks, of dry runs and of sweeps', async () => {
    const { events, scrape } = createRegistry()
    for (const outcome of ['cancelled', 'cancelled', 'kept', 'missing'] as const)
      events.emit('checks-finished', { checks: [{ orderId: '1', jobId: '1', outcome }] })
    events.emit('would-cancel', { orderId: '1' })
    const outcomes = { cancelled: 5, kept: 2, postponed: 7, failed: 1 }
    events.emit('batch-settled', { by: 'sweep', checks: 15, tookMs: 1, outcomes })
    events.emit('batch-settled', { by: 'worker', checks: 15, tookMs: 1, outcomes })
    events.emit('sweep-finished', { ...swept, outcomes })
    const samples = await scrape()
    expect(samples).toMatchObject({
      'order_expiry_decisions_total{outcome="cancelled"}': 7,
      'order_expiry_decisions_total{outcome="kept"}': 3,
      'order_expiry_decisions_total{outcome="missing"}': 1,
      'order_expiry_decisions_total{outcome="would-cancel"}': 1,
      order_expiry_sweep_rescued_total: 5,
      order_expiry_sweep_failed_total: 1,
      order_expiry_batch_size_checks_count: 2,
    })
    expect(Object.keys(samples).filter((name) => /postponed|failed"/.test(name))).toEqual([])
  })

  test('sweeps by their result, and the checks that they added', async () => {
    const { events, scrape } = createRegistry()
    events.emit('sweep-finished', { ...swept, added: 1, handedOver: 2 })
    events.emit('sweep-finished', { ...swept, added: 1 })
    events.emit('sweep-finished', { ...swept, error })
    expect(await scrape()).toMatchObject({
      'order_expiry_sweeps_total{result="complete"}': 2,
      'order_expiry_sweeps_total{result="ended-early"}': 1,
      order_expiry_sweep_checks_added_total: 4,
      order_expiry_sweep_rescued_total: 0,
    })
  })

  test('what was given up, what the store failed at, what the brake held, what Redis lost', async () => {
    const { events, scrape } = createRegistry()
    events.emit('check-given-up', { jobId: '1', error })
    events.emit('batch-settled', { by: 'worker', checks: 1, tookMs: 1, outcomes: { failed: 1 }, error })
    events.emit('batch-settled', { by: 'worker', checks: 1, tookMs: 1, outcomes: { cancelled: 1 } })
    events.emit('brake-held', { orders: 40, reason: 'limit' })
    events.emit('brake-held', { orders: 2, reason: 'limit' })
    events.emit('brake-held', { orders: 7, reason: 'unknown', cause: 'its state is not known' })
    events.emit('redis-emptied', {})
    expect(await scrape()).toMatchObject({
      'order_expiry_checks_given_up_total{code="STORE_REJECTED"}': 1,
      'order_expiry_store_failures_total{code="STORE_REJECTED"}': 1,
      'order_expiry_brake_held_total{reason="limit"}': 42,
      'order_expiry_brake_held_total{reason="unknown"}': 7,
      order_expiry_redis_emptied_total: 1,
    })
  })
})

describe('a gauge', () => {
  test('is read when it is scraped', async () => {
    const { scrape, vitals } = createRegistry({ brake: { engaged: false } })
    expect(await scrape()).toMatchObject({
      order_expiry_store_breaker_open: 0,
      order_expiry_brake_engaged: 0,
      order_expiry_dry_run: 0,
    })
    vitals.isBreakerOpen = true
    vitals.brake = { engaged: true }
    expect(await scrape()).toMatchObject({ order_expiry_store_breaker_open: 1, order_expiry_brake_engaged: 1 })
  })

  test('of a dry run is 1', async () => {
    expect(await createRegistry({ dryRun: true }).scrape()).toMatchObject({ order_expiry_dry_run: 1 })
  })

  test('of what is overdue, as the order store tells it', async () => {
    const overdueOf = async (sources: Partial<Vitals>) =>
      Object.entries(await createRegistry(sources).scrape()).filter(([name]) => name.includes('overdue'))
    expect(await overdueOf({ readOverdue: async () => ({ orders: 3, oldestSeconds: 145.5 }) })).toEqual([
      ['order_expiry_overdue_up', 1],
      ['order_expiry_overdue_orders', 3],
      ['order_expiry_oldest_overdue_seconds', 145.5],
    ])
    expect(await overdueOf({ readOverdue: () => Promise.reject(new Error('away')) })).toEqual([
      ['order_expiry_overdue_up', 0],
    ])
    expect(await overdueOf({ isStoreTried: false })).toEqual([]) // the store has not been opened yet
  })

  test('of a store that has not been opened says nothing', async () => {
    expect(await createRegistry({ isStoreTried: false }).scrape()).not.toHaveProperty('order_expiry_store_up')
  })

  test('of a brake whose state cannot be read says so', async () => {
    const { scrape, vitals } = createRegistry({ brake: { engaged: false } })
    expect(await scrape()).toHaveProperty('order_expiry_brake_unknown', 0)
    Object.assign(vitals, { brake: undefined, brakeFailure: new Error('NOPERM') })
    expect(await scrape()).toHaveProperty('order_expiry_brake_unknown', 1)
  })

  test('of a brake whose state is not known says nothing', async () => {
    const { scrape, vitals } = createRegistry({ brake: { engaged: true } })
    expect(await scrape()).toHaveProperty('order_expiry_brake_engaged', 1)
    vitals.brake = undefined
    expect(await scrape()).not.toHaveProperty('order_expiry_brake_engaged')
  })
})

test('two daemons in one process do not share their metrics', async () => {
  const [one, other] = [createRegistry(), createRegistry()]
  one.events.emit('redis-emptied', {})
  expect(await other.scrape()).toMatchObject({ order_expiry_redis_emptied_total: 0 })
})

describe('what others know is read at the scrape:', () => {
  const counts = { jobs: { delayed: 7, failed: 1 }, isPaused: true }
  const within = { '1m': 2, '5m': 2, '15m': 3, '60m': 5 }
  const { view } = fakeVitals()
  const forecast = async () => ({ ...(await view.forecast()), within })

  test('the queue, once for all of its gauges', async () => {
    let reads = 0
    const { scrape } = createRegistry({
      view: {
        ...view,
        async counts() {
          reads++
          return counts
        },
        forecast,
      },
    })
    expect(await scrape()).toMatchObject({
      order_expiry_queue_up: 1,
      order_expiry_queue_paused: 1,
      'order_expiry_jobs{state="delayed"}': 7,
      'order_expiry_jobs{state="failed"}': 1,
      'order_expiry_upcoming_checks{within="1m"}': 2,
      'order_expiry_upcoming_checks{within="60m"}': 5,
    })
    expect(reads).toBe(1)
    await scrape()
    expect(reads).toBe(2)
  })

  test('a queue that cannot be read is down, and has no figures, not those of before', async () => {
    let isAway = false
    const { scrape } = createRegistry({
      view: {
        ...view,
        async counts() {
          if (isAway) throw new Error('away')
          return counts
        },
        forecast,
      },
    })
    await scrape()
    isAway = true
    const samples = await scrape()
    expect(samples).toMatchObject({ order_expiry_queue_up: 0, order_expiry_store_up: 1 })
    expect(Object.keys(samples).filter((name) => /_jobs|upcoming|paused/.test(name))).toEqual([])
  })

  test('one that does not answer is not waited for', async () => {
    const { scrape, clock } = createRegistry({
      view: { ...view, counts: () => new Promise(() => {}) },
      pingStore: () => new Promise(() => {}),
    })
    const scraped = scrape()
    await clock.advance(2_000)
    expect(await scraped).toMatchObject({ order_expiry_queue_up: 0, order_expiry_store_up: 0 })
  })

  test('the outbox, if the order store has one', async () => {
    const outboxOf = async (sources: Partial<Vitals>) =>
      Object.entries(await createRegistry(sources).scrape()).filter(([name]) => name.includes('outbox'))
    expect(await outboxOf({ readOutbox: async () => ({ events: 7, oldestAgeMs: 1_500 }) })).toEqual([
      ['order_expiry_outbox_up', 1],
      ['order_expiry_outbox_events', 7],
      ['order_expiry_outbox_oldest_seconds', 1.5],
    ])
    expect(await outboxOf({ readOutbox: async () => ({ events: 0, oldestAgeMs: undefined }) })).toEqual([
      ['order_expiry_outbox_up', 1],
      ['order_expiry_outbox_events', 0],
      ['order_expiry_outbox_oldest_seconds', 0],
    ])
    expect(await outboxOf({ readOutbox: () => Promise.reject(new Error('away')) })).toEqual([
      ['order_expiry_outbox_up', 0],
    ])
    expect(await outboxOf({ readOutbox: () => undefined })).toEqual([])
  })

  test('what is set aside, if the order store can hold such orders', async () => {
    const setAsideOf = async (readSetAside: Vitals['readSetAside']) => {
      const clock = new FakeClock()
      const all = await createRegistry({ readSetAside, readOverdue: async () => overdue, clock }).scrape()
      expect(all).toMatchObject({ order_expiry_overdue_orders: 3 }) // whatever becomes of the look
      return Object.fromEntries(Object.entries(all).filter(([name]) => /set_aside|backlog/.test(name)))
    }
    const overdue = { orders: 3, oldestSeconds: 145.5 }
    const oldest = new FakeClock().now() - 90_000
    const found = { backlog: { orders: 3_000, oldest }, unreadable: { orders: 2, examples: ['7', '8'] } }
    expect(await setAsideOf(async () => found)).toEqual({
      order_expiry_set_aside_up: 1,
      'order_expiry_set_aside_orders{why="backlog"}': 3_000,
      'order_expiry_set_aside_orders{why="unreadable"}': 2,
      order_expiry_oldest_backlog_seconds: 90,
    })
    expect(await setAsideOf(async () => NOTHING_SET_ASIDE)).toEqual({
      order_expiry_set_aside_up: 1,
      'order_expiry_set_aside_orders{why="backlog"}': 0,
      'order_expiry_set_aside_orders{why="unreadable"}': 0,
      order_expiry_oldest_backlog_seconds: 0,
    })
    expect(await setAsideOf(() => Promise.reject(new Error('away')))).toEqual({ order_expiry_set_aside_up: 0 })
    expect(await setAsideOf(() => undefined)).toEqual({})
  })

  test('how far the clocks of Redis and the order store are ahead, once it is known', async () => {
    const { vitals, scrape } = createRegistry()
    const offsets = async () => Object.entries(await scrape()).filter(([name]) => name.includes('clock_offset'))
    expect(await offsets()).toEqual([])
    vitals.clockOffsets = { redis: -600_000, store: undefined }
    expect(await offsets()).toEqual([['order_expiry_clock_offset_seconds{of="redis"}', -600]])
    vitals.clockOffsets = { redis: 0, store: 2_500 }
    expect(await offsets()).toEqual([
      ['order_expiry_clock_offset_seconds{of="redis"}', 0],
      ['order_expiry_clock_offset_seconds{of="store"}', 2.5],
    ])
  })

  test('the loops that are to go on, and what runs', async () => {
    const { scrape } = createRegistry({ loops: () => [{ name: 'worker', ageMs: 1_500 }] })
    expect(await scrape()).toMatchObject({
      'order_expiry_loop_silent_seconds{loop="worker"}': 1.5,
      'order_expiry_build_info{version="1.2.3"}': 1,
    })
  })
})

test('wrong passwords and tokens are counted by door, from the first one on', async () => {
  const { events, scrape } = createRegistry()
  const wrong = { route: '/', address: '192.0.2.1', addresses: 1 }
  events.emit('wrong-credentials', { ...wrong, door: 'api', isLimited: false })
  events.emit('wrong-credentials', { ...wrong, door: 'api', isLimited: true })
  const counts = Object.entries(await scrape()).filter(([name]) => name.includes('wrong_credentials'))
  expect(counts.map(([name, count]) => [/"(\w+)"/.exec(name)?.[1], count])).toEqual([
    ['api', 2],
    ['pages', 0],
    ['docs', 0],
    ['metrics', 0],
  ])
})

test('lateness is counted in seconds, and never below zero', async () => {
  const { events, scrape } = createRegistry()
  events.emit('checks-finished', {
    checks: [{ orderId: '1', jobId: '1', outcome: 'cancelled', lateMs: 4, begunLateMs: 1 }],
  })
  events.emit('checks-finished', {
    checks: [{ orderId: '2', jobId: '2', outcome: 'cancelled', lateMs: -3, begunLateMs: 800 }],
  })
  events.emit('checks-finished', { checks: [{ orderId: '3', jobId: '3', outcome: 'missing' }] })
  events.emit('check-postponed', { orderId: '4', jobId: '4', delayMs: 5, why: 'not-due' })
  events.emit('check-postponed', { orderId: '4', jobId: '4', delayMs: 5, why: 'locked' })
  events.emit('batch-settled', { by: 'worker', checks: 30, tookMs: 1, outcomes: {} })
  expect(await scrape()).toMatchObject({
    order_expiry_settle_lateness_seconds_count: 2,
    order_expiry_settle_lateness_seconds_sum: 0.004,
    'order_expiry_settle_lateness_seconds_bucket{le="0.002"}': 1,
    'order_expiry_check_lateness_seconds_bucket{le="0.5"}': 1,
    'order_expiry_check_lateness_seconds_bucket{le="1"}': 2,
    order_expiry_checks_early_total: 1,
    order_expiry_batch_size_checks_sum: 30,
  })
})
