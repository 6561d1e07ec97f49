import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { EventBus } from '../../../src/observe/events.ts'
import { createMetrics, type GaugeSources } from '../../../src/observe/metrics.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

function createRegistry(sources: Partial<GaugeSources> = {}) {
  const events = new EventBus()
  const all = { brakeEngaged: () => undefined, storeBreakerOpen: () => false, dryRun: false, ...sources }
  const clock = new FakeClock()
  const registry = createMetrics({ events, sources: all, clock })
  /** The samples as Prometheus reads them, by name and labels. */
  const scrape = async () =>
    Object.fromEntries(
      (await registry.metrics())
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    )
  return { events, clock, registry, scrape }
}

const error = new OrderExpiryError('STORE_REJECTED', 'no')
const swept = { overdue: 0, outcomes: {}, upcoming: 0, added: 0, tookMs: 1 }

test('every name begins with order_expiry_, counters end in _total and gauges do not, and each has a help', async () => {
  const metrics = await createRegistry().registry.getMetricsAsJSON()
  expect(metrics.map(({ name }) => name).sort()).toEqual([
    'order_expiry_brake_engaged',
    'order_expiry_brake_held_total',
    'order_expiry_checks_given_up_total',
    'order_expiry_decisions_total',
    'order_expiry_dry_run',
    'order_expiry_oldest_overdue_seconds',
    'order_expiry_overdue_orders',
    'order_expiry_redis_emptied_total',
    'order_expiry_store_breaker_open',
    'order_expiry_store_failures_total',
    'order_expiry_sweep_checks_added_total',
    'order_expiry_sweep_failed_total',
    'order_expiry_sweep_rescued_total',
    'order_expiry_sweeps_total',
  ])
  for (const { name, type, help } of metrics) {
    expect([name, type]).toEqual([name, name.endsWith('_total') ? 'counter' : 'gauge'])
    expect(help).toMatch(/\.$/)
  }
})

describe('a counter follows its event:', () => {
  test('decisions of checks, of dry runs and of sweeps', async () => {
    const { events, scrape } = createRegistry()
    for (const outcome of ['cancelled', 'cancelled', 'kept', 'missing'] as const)
      events.emit('check-finished', { orderId: '1', jobId: '1', outcome })
    events.emit('would-cancel', { orderId: '1' })
    events.emit('sweep-finished', { ...swept, outcomes: { cancelled: 5, kept: 2, postponed: 7, failed: 1 } })
    const samples = await scrape()
    expect(samples).toMatchObject({
      'order_expiry_decisions_total{outcome="cancelled"}': 7,
      'order_expiry_decisions_total{outcome="kept"}': 3,
      'order_expiry_decisions_total{outcome="missing"}': 1,
      'order_expiry_decisions_total{outcome="would-cancel"}': 1,
      order_expiry_sweep_rescued_total: 5,
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
    events.emit('batch-settled', { checks: 1, tookMs: 1, outcomes: { failed: 1 }, error })
    events.emit('batch-settled', { checks: 1, tookMs: 1, outcomes: { cancelled: 1 } })
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
    let isOpen = false
    let isEngaged = false
    const { scrape } = createRegistry({ storeBreakerOpen: () => isOpen, brakeEngaged: () => isEngaged })
    expect(await scrape()).toMatchObject({
      order_expiry_store_breaker_open: 0,
      order_expiry_brake_engaged: 0,
      order_expiry_dry_run: 0,
    })
    isOpen = true
    isEngaged = true
    expect(await scrape()).toMatchObject({ order_expiry_store_breaker_open: 1, order_expiry_brake_engaged: 1 })
  })

  test('of a dry run is 1', async () => {
    expect(await createRegistry({ dryRun: true }).scrape()).toMatchObject({ order_expiry_dry_run: 1 })
  })

  test('of what is overdue follows the sweeps that know, and grows older between them', async () => {
    const { events, clock, scrape } = createRegistry()
    const [orders, age] = ['order_expiry_overdue_orders', 'order_expiry_oldest_overdue_seconds'] as const
    const gauges = async () => {
      const samples = await scrape()
      return [samples[orders], samples[age]]
    }
    expect(await gauges()).toEqual([undefined, undefined])
    const oldest = { orderId: '7', deadline: 1, lateMs: 130_000, why: 'locked' }
    events.emit('sweep-finished', { ...swept, left: { orders: 3, oldest } })
    expect(await gauges()).toEqual([3, 130])
    await clock.advance(15_500)
    events.emit('sweep-finished', { ...swept, error })
    expect(await gauges()).toEqual([3, 145.5])
    events.emit('sweep-finished', { ...swept, left: { orders: 0 } })
    expect(await gauges()).toEqual([0, 0])
  })

  test('of a brake whose state is not known says nothing', async () => {
    let state: boolean | undefined = true
    const { scrape } = createRegistry({ brakeEngaged: () => state })
    expect(await scrape()).toHaveProperty('order_expiry_brake_engaged', 1)
    state = undefined
    expect(await scrape()).not.toHaveProperty('order_expiry_brake_engaged')
  })
})

test('two daemons in one process do not share their metrics', async () => {
  const [one, other] = [createRegistry(), createRegistry()]
  one.events.emit('redis-emptied', {})
  expect(await other.scrape()).toMatchObject({ order_expiry_redis_emptied_total: 0 })
})
