import type { Order } from '../../order/order.ts'
import { HEALTHY_MS } from '../../order/promise.ts'
import type { OrderEvent, PayResult } from '../../stores/records.ts'
import { type Breach, type Fact, judgePromises, type Promised } from './judge.ts'

export interface DemoOrder {
  orderId: string
  deadline: number
  /** When the buyer pays; undefined if never. */
  payAt: number | undefined
  /** What the store answered to the payment. */
  payment: PayResult['result'] | undefined
}

/** Compares what was asked and answered with the records and the stream of events. */
export function judge(options: {
  orders: readonly DemoOrder[]
  found: readonly (Order | undefined)[]
  cancellations: readonly OrderEvent[]
}) {
  const { orders, found, cancellations } = options
  const cancelledAt = new Map(cancellations.map(({ orderId, at }) => [orderId, at]))
  const statuses = found.map((order) => order?.status)
  const breaches = judgePromises({
    facts: [
      ...orders.flatMap((order, n) => factsOf(order, statuses[n], cancelledAt.get(order.orderId))),
      ...cancellations.map(({ orderId, at }): Fact => ({ orderId, at, what: 'announced' })),
    ],
    withinMs: () => HEALTHY_MS,
    healthySince: 0,
    until: Number.POSITIVE_INFINITY,
  })
  const ordersOf = (promise: Promised, matches: (breach: Breach) => boolean = () => true) =>
    new Set(breaches.flatMap((each) => (each.promise === promise && matches(each) ? each.orderId : []))).size
  const promises: Record<string, number> = {
    'paid, but cancelled': ordersOf('I1'),
    'unpaid, but not cancelled': ordersOf('I2', ({ lateMs }) => lateMs === undefined),
    'cancelled before the deadline': ordersOf('I4'),
    [`cancelled over ${HEALTHY_MS} ms late`]: ordersOf('I2', ({ lateMs }) => lateMs !== undefined),
    'not exactly one event for a cancellation': breaches.reduce((sum, { surplus = 0 }) => sum + surplus, 0),
  }
  const late = orders.flatMap(({ orderId, deadline }) => {
    const at = cancelledAt.get(orderId)
    return at === undefined ? [] : [at - deadline]
  })
  return {
    cancelled: statuses.filter((status) => status === 'cancelled').length,
    kept: statuses.filter((status) => status === 'paid').length,
    // The buyer was told that it was too late, and no money was taken.
    tooLate: orders.filter(({ payment }) => payment === 'cancelled').length,
    lateMs: { p50: quantile(late, 0.5), p99: quantile(late, 0.99), max: quantile(late, 1) },
    broken: Object.entries(promises).flatMap(([what, times]) => (times > 0 ? [`${times} ${what}`] : [])),
  }
}

/** What must have happened to an order, by the answer to its buyer and its final record. */
function factsOf(order: DemoOrder, status: string | undefined, cancelledAt: number | undefined): Fact[] {
  const { orderId, deadline, payAt = deadline, payment } = order
  const facts: Fact[] = [{ orderId, at: 0, what: 'placed', deadline }]
  if (payment === 'paid') facts.push({ orderId, at: payAt, what: 'paid' })
  if (status === 'cancelled') facts.push({ orderId, at: cancelledAt ?? deadline, what: 'cancelled' })
  else if (payment === 'paid' && status !== 'paid') facts.push({ orderId, at: payAt, what: 'payment-lost' })
  return facts
}

export function renderReport(report: ReturnType<typeof judge>): string[] {
  const { cancelled, kept, tooLate, lateMs, broken } = report
  const rows: [string, string][] = [
    ['cancelled', String(cancelled)],
    ['kept', String(kept)],
    ['lateness p50', `${lateMs.p50} ms`],
    ['lateness p99', `${lateMs.p99} ms`],
    ['lateness max', `${lateMs.max} ms`],
    ['paid orders cancelled', String(broken.find((line) => line.includes('paid, but cancelled'))?.split(' ')[0] ?? 0)],
  ]
  const width = Math.max(...rows.map(([, value]) => value.length), 6)
  const line = (left: string, middle: string, right: string) =>
    `${left}${'─'.repeat(25)}${middle}${'─'.repeat(width + 2)}${right}`
  return [
    line('┌', '┬', '┐'),
    ...rows.map(([name, value]) => `│ ${name.padEnd(23)} │ ${value.padStart(width)} │`),
    line('└', '┴', '┘'),
    ...(tooLate > 0
      ? [`${tooLate} more tried to pay just after the cancellation; they were told, and paid nothing.`]
      : []),
    broken.length === 0 ? 'Every promise was kept.' : `BROKEN: ${broken.join('; ')}`,
  ]
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0
}
