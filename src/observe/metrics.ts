import { Counter, collectDefaultMetrics, type Histogram, Registry } from 'prom-client'
import type { ErrorCode } from '../errors.ts'
import type { Verdict } from '../order/payment-gateway.ts'
import { BatchHistogram } from './batch-histogram.ts'
import { type EventBus, type EventName, type Events, errorCode } from './events.ts'
import { registerGauges } from './gauges.ts'
import { LATENESS_BOUNDS } from './minutes.ts'
import type { Vitals } from './vitals.ts'

type Labels = Readonly<Record<string, string | number>>
type Add = (amount: number, labels?: Labels) => void

interface MetricRow {
  help: string
  labels?: string[]
  /** Of a histogram; a counter has none. */
  buckets?: number[]
  /** Series that exist from the start: one that begins with its first event shows no increase for it. */
  zeros?: readonly Labels[]
  on: { readonly [Name in EventName]?: (event: Events[Name], add: Add) => void }
}

const LATENESS_BUCKETS_S = LATENESS_BOUNDS.map((ms) => ms / 1_000)
const VERDICTS: readonly Verdict['kind'][] = [
  ...(['closed', 'paid', 'authorised', 'in-flight', 'closing', 'cannot-close', 'unknown'] as const),
]
const DECISIONS = ['cancelled', 'kept', 'missing'] as const
const USUALLY_GIVEN_UP_FOR: readonly ErrorCode[] = [
  'INVALID_JOB',
  'UNKNOWN_JOB',
  'STORE_REJECTED',
  'STORE_MISMATCH',
  'UNEXPECTED',
]
/** How often the event loop is sampled: each sample costs a wake-up. */
const LAG_PRECISION_MS = 50

const METRICS: Readonly<Record<string, MetricRow>> = {
  check_lateness_seconds: {
    help: 'From the payment deadline to the start of the check that decided.',
    buckets: LATENESS_BUCKETS_S,
    on: {
      'checks-finished': ({ checks }, observe) => {
        for (const { begunLateMs } of checks) observeLateness(begunLateMs, observe)
      },
    },
  },
  settle_lateness_seconds: {
    help: "From the payment deadline to the decision of a check, by the order store's clock; excludes sweeps.",
    buckets: LATENESS_BUCKETS_S,
    on: {
      'checks-finished': ({ checks }, observe) => {
        for (const { lateMs } of checks) observeLateness(lateMs, observe)
      },
    },
  },
  batch_size_checks: {
    help: 'Checks settled in one statement.',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000],
    on: { 'batch-settled': ({ checks }, observe) => observe(checks) },
  },
  decisions_total: {
    help: 'Decisions on orders by checks and sweeps, by outcome.',
    labels: ['outcome'],
    zeros: DECISIONS.map((outcome) => ({ outcome })),
    on: {
      'checks-finished': ({ checks }, add) => {
        for (const outcome of DECISIONS) {
          const count = checks.filter((check) => check.outcome === outcome).length
          if (count > 0) add(count, { outcome })
        }
      },
      'would-cancel': (_, add) => add(1, { outcome: 'would-cancel' }),
      'batch-settled': ({ by, outcomes }, add) => {
        if (by === 'worker') return // a worker's checks report themselves
        for (const outcome of DECISIONS) add(outcomes[outcome] ?? 0, { outcome })
      },
    },
  },
  checks_early_total: {
    help: 'Checks that ran before the deadline in the order store.',
    on: { 'check-postponed': ({ why }, add) => why === 'not-due' && add(1) },
  },
  checks_given_up_total: {
    help: 'Checks that were given up and are in the failed set, by error.',
    labels: ['code'],
    zeros: USUALLY_GIVEN_UP_FOR.map((code) => ({ code })),
    on: { 'check-given-up': ({ error }, add) => add(1, { code: error.code }) },
  },
  sweeps_total: {
    help: 'Sweeps over the order store, by result.',
    labels: ['result'],
    on: { 'sweep-finished': ({ error }, add) => add(1, { result: error ? 'ended-early' : 'complete' }) },
  },
  sweep_rescued_total: {
    help: 'Overdue orders that a sweep cancelled because no check had.',
    on: { 'batch-settled': ({ by, outcomes }, add) => by === 'sweep' && add(outcomes.cancelled ?? 0) },
  },
  sweep_failed_total: {
    help: 'Times that a sweep could not settle an overdue order.',
    on: { 'batch-settled': ({ by, outcomes }, add) => by === 'sweep' && add(outcomes.failed ?? 0) },
  },
  sweep_checks_added_total: {
    help: 'Missing checks added by sweeps.',
    on: { 'sweep-finished': ({ added, handedOver = 0 }, add) => add(added + handedOver) },
  },
  paid_late_total: {
    help: "Payments that came after their order was cancelled, and whether the shop's own statement has reopened it.",
    labels: ['reopened'],
    zeros: ['true', 'false'].map((reopened) => ({ reopened })),
    on: {
      'orders-paid-late': ({ orders }, add) => {
        const reopened = orders.filter((order) => order.reopened).length
        add(reopened, { reopened: 'true' })
        add(orders.length - reopened, { reopened: 'false' })
      },
    },
  },
  store_failures_total: {
    help: 'Failures of the order store, by error: batches of checks and sweeps, and connections.',
    labels: ['code'],
    on: {
      'batch-settled': ({ error }, add) => error && add(1, { code: error.code }),
      'store-error': ({ error }, add) => add(1, { code: errorCode(error) }),
    },
  },
  payment_verdicts_total: {
    help: 'Payments that were to be closed, by what their provider said.',
    labels: ['verdict'],
    zeros: VERDICTS.map((verdict) => ({ verdict })),
    on: { 'payment-answered': ({ verdict }, add) => add(1, { verdict: verdict.kind }) },
  },
  events_delivered_total: {
    help: 'Events that a receiver has got, by sink and type.',
    labels: ['sink', 'type'],
    on: { 'event-delivered': ({ sink, type }, add) => add(1, { sink, type }) },
  },
  event_failures_total: {
    help: 'Attempts to deliver an event that failed, by sink, and whether it was the last one.',
    labels: ['sink', 'given_up'],
    zeros: ['true', 'false'].map((given_up) => ({ sink: 'webhook', given_up })),
    on: { 'event-failed': ({ sink, retryInMs }, add) => add(1, { sink, given_up: String(retryInMs === undefined) }) },
  },
  brake_held_total: {
    help: 'Times that the brake held an order back, by reason.',
    labels: ['reason'],
    on: { 'brake-held': ({ orders, reason }, add) => add(orders, { reason: kindOf(reason) }) },
  },
  redis_emptied_total: {
    help: 'Times that Redis was found to have lost its data.',
    on: { 'redis-emptied': (_, add) => add(1) },
  },
  redis_errors_total: {
    help: 'Errors of connections to Redis, by connection and error.',
    labels: ['connection', 'code'],
    on: {
      'redis-error': ({ connection, error }, add) => add(1, { connection, code: errorCode(error) }),
      'worker-error': ({ error }, add) => add(1, { connection: 'worker', code: errorCode(error) }),
    },
  },
  wrong_credentials_total: {
    help: 'Requests with a wrong password or token, or refused because their address had sent too many, by door.',
    labels: ['door'],
    zeros: ['api', 'pages', 'docs', 'metrics'].map((door) => ({ door })),
    on: { 'wrong-credentials': ({ door }, add) => add(1, { door }) },
  },
  http_requests_total: {
    help: 'Requests that were answered, by method, route and status.',
    labels: ['method', 'route', 'status'],
    on: { 'request-finished': ({ method, route, status }, add) => add(1, { method, route, status }) },
  },
}

/** Counters and histograms follow the events; gauges are read at the scrape. */
export function createMetrics(options: { events: EventBus; vitals: Vitals }): Registry {
  const { events, vitals } = options
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS })
  // These are gauges with the names of counters.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`)
  for (const [name, row] of Object.entries(METRICS)) {
    const add = registerMetric(registry, name, row)
    for (const labels of row.zeros ?? []) add(0, labels)
    for (const [event, listener] of Object.entries(row.on) as [EventName, (event: unknown, add: Add) => void][]) {
      events.on(event, (happened) => listener(happened, add))
    }
  }
  registerGauges(registry, vitals)
  return registry
}

function registerMetric(registry: Registry, name: string, { help, labels = [], buckets }: MetricRow): Add {
  const fullName = `order_expiry_${name}`
  if (buckets) {
    const histogram = new BatchHistogram({ name: fullName, help, buckets })
    registry.registerMetric(histogram as unknown as Histogram)
    return (value) => histogram.observe(value)
  }
  const counter = new Counter({ name: fullName, help, labelNames: labels, registers: [registry] })
  return (amount, labels = {}) => counter.inc(labels, amount)
}

/** The clocks of two machines may differ by more than a check is late. */
function observeLateness(lateMs: number | undefined, observe: Add): void {
  if (lateMs !== undefined) observe(Math.max(0, lateMs) / 1_000)
}

/** Reasons of the brake by themselves; others are the words of a person, of which there is no end. */
function kindOf(reason: string): string {
  return ['limit', 'payment-silence', 'unknown'].includes(reason) ? reason : 'manual'
}
