import type { Settle } from '../order/settle.ts'
import type { DueOrder, OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import type { SweepMemory } from './sweep-memory.ts'

/** The pause after each page, as a share of the time it took: the store has others to serve. */
const PAUSE_SHARE = 0.25

/** What a sweep works with. */
export interface Sweeping {
  store: OrderStore
  settle: Settle
  /** Gives the orders a check if they have none. @returns how many had none */
  addChecks: (orders: readonly DueOrder[]) => Promise<number>
  aheadMs: number
  pageSize: number
  /** What earlier sweeps have left behind. */
  memory: SweepMemory
  /** How long it deals, at most, with the orders that fall due soon. */
  upcomingMs: number
  /** Whether to leave the orders that fall due soon, since another sweep is wanted at once. */
  isWoken: () => boolean
  /** Called before and after each page is dealt with: the sweep is getting on. */
  onStep: () => void
  clock: Clock
  random: () => number
  signal: AbortSignal
}

/** The unpaid orders due by `dueBefore` that come after `after`, page by page. Throws the signal's reason. */
export async function* pagesOf(
  options: Sweeping & { dueBefore: number; after: DueOrder | undefined },
): AsyncGenerator<DueOrder[]> {
  const { store, dueBefore, pageSize, memory, onStep, clock, signal } = options
  let { after } = options
  for (;;) {
    signal.throwIfAborted()
    const startedAt = clock.monotonic()
    const page = await store.unpaidDueBefore(dueBefore, after, pageSize)
    onStep()
    if (page.length > 0) yield page
    onStep()
    after = page.at(-1)
    memory.seenId = after?.orderId ?? memory.seenId
    if (page.length < pageSize) return
    await pauseSince(startedAt, options)
  }
}

/** Gives the store a rest after what began at `startedAt`, by the monotonic clock. */
export function pauseSince(startedAt: number, { clock, signal }: Pick<Sweeping, 'clock' | 'signal'>): Promise<void> {
  return clock.sleep((clock.monotonic() - startedAt) * PAUSE_SHARE, signal)
}
