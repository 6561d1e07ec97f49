import { type ErrorCode, OrderExpiryError } from '../../../src/errors.ts'
import type { PostponeReason } from '../../../src/order/order.ts'
import type { Settlement } from '../../../src/order/settle.ts'
import type { DueOrder } from '../../../src/order/store.ts'
import { sweep } from '../../../src/sweep/sweep.ts'
import type { SweepOptions } from '../../../src/sweep/sweep-options.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { MemoryStore } from '../../helpers/memory-store.ts'

/** By the store's clock, which is not ours. */
export const NOW = Date.UTC(2029, 5, 1)
export const AHEAD = 600_000
const evidence = { decidedAt: NOW, status: 'pending', deadline: NOW }

export const cancelled: Settlement = { kind: 'cancelled', at: NOW, evidence }
export const postponed = (reason: Exclude<PostponeReason, 'payment'>): Settlement => ({
  kind: 'postponed',
  until: NOW + 1,
  reason,
  evidence,
})
export const failed = (code: ErrorCode): Settlement => ({
  kind: 'failed',
  error: new OrderExpiryError(code, 'no'),
})

/** Orders due so many milliseconds from the store's now, named by that. */
export const ordersDue = (...offsets: number[]): DueOrder[] =>
  offsets.map((offset) => ({ orderId: `${offset}`, deadline: NOW + offset }))

export function createSweep(
  orders: readonly DueOrder[],
  options: Partial<SweepOptions> & { became?: Record<string, Settlement> } = {},
) {
  const { became = {}, ...overrides } = options
  const clock = new FakeClock()
  const asked: { instant: number; after: string | undefined; limit: number }[] = []
  const settled: string[][] = []
  const added: string[][] = []
  const store = new MemoryStore({ now: () => NOW }).refuse('cancelUnpaid', 'find', 'newestPayment', 'close')
  for (const { orderId, deadline } of orders) store.place(orderId, deadline)
  const read = store.unpaidDueBefore.bind(store)
  store.unpaidDueBefore = (instant, after, limit) => {
    asked.push({ instant, after: after?.orderId, limit })
    return read(instant, after, limit)
  }
  const stopping = new AbortController()
  const steps: [settled: number, added: number][] = []
  const wanted: SweepOptions = {
    store,
    async settle(checks) {
      settled.push(checks.map(({ orderId }) => orderId))
      return checks.map(({ orderId }) => became[orderId] ?? cancelled)
    },
    async addChecks(page) {
      added.push(page.map(({ orderId }) => orderId))
      return page.length
    },
    aheadMs: AHEAD,
    pageSize: 3,
    onStep: () => steps.push([settled.length, added.length]),
    clock,
    signal: stopping.signal,
    ...overrides,
  }
  /** Runs it to its end, letting every pause pass. */
  async function run() {
    let isDone = false
    const result = sweep(wanted).finally(() => {
      isDone = true
    })
    for (let n = 0; n < 1_000 && !isDone; n++) await clock.advance(100)
    return await result
  }
  return { run, store, settled, added, asked, steps, clock, stopping, wanted }
}
