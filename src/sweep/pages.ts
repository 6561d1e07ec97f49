import type { DueOrder } from '../order/store.ts'
import type { StepOptions } from './sweep-options.ts'

/** The pause after each page, as a share of the time it took: the store has others to serve. */
const PAUSE_SHARE = 0.25

/** The unpaid orders due by `dueBefore` that come after `after`, page by page. Throws the signal's reason. */
export async function* pagesOf(
  options: StepOptions & { dueBefore: number; after?: DueOrder | undefined },
): AsyncGenerator<DueOrder[]> {
  const { store, dueBefore, backlog = false, pageSize, memory, onStep, clock, signal } = options
  let { after } = options
  for (;;) {
    signal.throwIfAborted()
    const startedAt = clock.monotonic()
    const page = await store.unpaidDueBefore(dueBefore, after, pageSize, { backlog })
    after = page.at(-1)
    if (after) memory.seenId = after.orderId
    onStep?.()
    if (page.length > 0) yield page
    onStep?.()
    if (page.length < pageSize) return
    await pauseSince(startedAt, options)
  }
}

/** Gives the store a rest after what began at `startedAt`, by the monotonic clock. */
export function pauseSince(startedAt: number, { clock, signal }: Pick<StepOptions, 'clock' | 'signal'>): Promise<void> {
  return clock.sleep((clock.monotonic() - startedAt) * PAUSE_SHARE, signal)
}
