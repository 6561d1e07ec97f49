import type { Order } from '../../order/order.ts'
import { HEALTHY_MS } from '../../order/promise.ts'
import type { OrderEvent, PayResult } from '../../stores/redis/orders.ts'

export interface DemoOrder {
  orderId: string
  deadline: number
  /** When the buyer pays; undefined if never. */
  payAt: number | undefined
  /** What the store answered to the payment. */
  payment: PayResult['result'] | undefined
}

export interface DemoReport {
  cancelled: number
  kept: number
  /** Payments that came after the cancellation; the buyer was told so, and no money was taken. */
  tooLate: number
  lateMs: { p50: number; p99: number; max: number }
  /** Each broken promise, in words; empty if all were kept. */
  broken: string[]
}

/** Holds what was asked and answered against the records and the stream of events. */
export function judge(options: {
  orders: readonly DemoOrder[]
  found: readonly (Order | undefined)[]
  cancellations: readonly OrderEvent[]
}): DemoReport {
  const { orders, found, cancellations } = options
  const cancelledAt = new Map(cancellations.map(({ orderId, at }) => [orderId, at]))
  const status = (index: number) => found[index]?.status
  const count = (matches: (order: DemoOrder, index: number) => boolean) => orders.filter(matches).length

  const promises: Record<string, number> = {
    'paid, but cancelled': count((order, n) => order.payment === 'paid' && status(n) !== 'paid'),
    'unpaid, but not cancelled': count((order, n) => order.payment !== 'paid' && status(n) !== 'cancelled'),
    'cancelled before the deadline': count(
      ({ orderId, deadline }) => (cancelledAt.get(orderId) ?? deadline) < deadline,
    ),
    [`cancelled over ${HEALTHY_MS} ms late`]: count(
      ({ orderId, deadline }) => (cancelledAt.get(orderId) ?? deadline) - deadline > HEALTHY_MS,
    ),
    'not exactly one event for a cancellation':
      cancellations.length -
      cancelledAt.size +
      count(({ orderId }, n) => (status(n) === 'cancelled') !== cancelledAt.has(orderId)),
  }
  const late = orders.flatMap(({ orderId, deadline }) => {
    const at = cancelledAt.get(orderId)
    return at === undefined ? [] : [at - deadline]
  })
  return {
    cancelled: count((_, n) => status(n) === 'cancelled'),
    kept: count((_, n) => status(n) === 'paid'),
    tooLate: count(({ payment }) => payment === 'cancelled'),
    lateMs: { p50: quantile(late, 0.5), p99: quantile(late, 0.99), max: quantile(late, 1) },
    broken: Object.entries(promises).flatMap(([what, times]) => (times > 0 ? [`${times} ${what}`] : [])),
  }
}

export function renderReport(report: DemoReport): string[] {
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
      ? [`${tooLate} more came to pay just after the cancellation; they were told, and paid nothing.`]
      : []),
    broken.length === 0 ? 'Every promise was kept.' : `BROKEN: ${broken.join('; ')}`,
  ]
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0
}
