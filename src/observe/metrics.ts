import { Counter, Gauge, Registry } from 'prom-client'
import type { Clock } from '../runtime/clock.ts'
import type { EventBus, LeftOverdue } from './events.ts'

/** What the gauges read when they are scraped. */
export interface GaugeSources {
  /** 1 or 0; undefined as long as it is not known. */
  brakeEngaged: () => boolean | undefined
  storeBreakerOpen: () => boolean
  dryRun: boolean
}

/** All metrics, by their names. Counters follow the events, gauges are read at the scrape. */
export function createMetrics(options: { events: EventBus; sources: GaugeSources; clock: Clock }): Registry {
  const { events, sources, clock } = options
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `order_expiry_${name}`, help, labelNames, registers })
  const gauge = (name: string, help: string, read: () => number | boolean | undefined) =>
    new Gauge({
      name: `order_expiry_${name}`,
      help,
      registers,
      collect() {
        const value = read()
        if (value === undefined)
          this.remove() // reset() would say 0
        else this.set(Number(value))
      },
    })

  const decisions = counter('decisions_total', 'Decisions on orders, by outcome, by checks and sweeps.', ['outcome'])
  const givenUp = counter('checks_given_up_total', 'Checks that were given up and are in the failed set, by error.', [
    'code',
  ])
  const sweeps = counter('sweeps_total', 'Sweeps over the order store, by result.', ['result'])
  const rescued = counter('sweep_rescued_total', 'Overdue orders that a sweep cancelled, because no check had.')
  const unsettled = counter('sweep_failed_total', 'Times that a sweep could not settle an overdue order.')
  const added = counter('sweep_checks_added_total', 'Orders without a check to which a sweep gave one.')
  const failures = counter('store_failures_total', 'Batches that the order store failed to settle, by error.', ['code'])
  const held = counter('brake_held_total', 'Times that the brake has held an order back, by why.', ['reason'])
  const emptied = counter('redis_emptied_total', 'Times that Redis was seen to have lost its data.')
  gauge('brake_engaged', '1 while the mass-cancel brake holds back all cancellations.', sources.brakeEngaged)
  gauge(
    'store_breaker_open',
    '1 while the order store does not work and no checks are taken.',
    sources.storeBreakerOpen,
  )
  gauge('dry_run', '1 while nothing is cancelled because DRY_RUN is set.', () => sources.dryRun)
  let overdue: { left: LeftOverdue; at: number } | undefined
  gauge(
    'overdue_orders',
    'Unpaid orders past their deadline that the last sweep of this process left, as far as it came.',
    () => overdue?.left.orders,
  )
  gauge('oldest_overdue_seconds', 'How long ago the oldest of those orders was due; 0 if there is none.', () => {
    if (!overdue?.left.oldest) return overdue && 0
    return (overdue.left.oldest.lateMs + clock.monotonic() - overdue.at) / 1_000
  })

  events.on('check-finished', ({ outcome }) => decisions.inc({ outcome }))
  events.on('would-cancel', () => decisions.inc({ outcome: 'would-cancel' }))
  events.on('check-given-up', ({ error }) => givenUp.inc({ code: error.code }))
  events.on('batch-settled', ({ error }) => error && failures.inc({ code: error.code }))
  events.on('sweep-finished', ({ outcomes, added: count, handedOver = 0, left, error }) => {
    if (left) overdue = { left, at: clock.monotonic() }
    unsettled.inc(outcomes.failed ?? 0)
    sweeps.inc({ result: error ? 'ended-early' : 'complete' })
    added.inc(count + handedOver)
    rescued.inc(outcomes.cancelled ?? 0)
    for (const outcome of ['cancelled', 'kept', 'missing']) decisions.inc({ outcome }, outcomes[outcome] ?? 0)
  })
  events.on('brake-held', ({ orders, reason }) => held.inc({ reason }, orders))
  events.on('redis-emptied', () => emptied.inc())
  return registry
}
