import type { Check, Outcome } from '../../order/order.ts'

/** The orders whose cancellation something has undone, by {@link canonicalId}, with what became of them. */
export type Undone = Map<string, Outcome>

/**
 * Cancels in transactions that are looked at before their end. One in which something has undone a cancellation is rolled back,
 * and the others are tried again without that order: nothing stays of a cancellation that did not happen.
 *
 * @param options.attempt undefined, with nothing changed and more in `undone`, if something has been undone
 */
export async function runWatched(options: {
  checks: readonly Check[]
  idOf: (check: Check) => string
  attempt: (checks: readonly Check[], undone: Undone) => Promise<Outcome[] | undefined>
}): Promise<Outcome[]> {
  const { checks, idOf, attempt } = options
  const undone: Undone = new Map()
  for (;;) {
    const rest = checks.filter((check) => !undone.has(idOf(check)))
    const outcomes = rest.length === 0 ? [] : await attempt(rest, undone)
    if (!outcomes) continue
    const next = outcomes.values()
    return checks.map((check) => undone.get(idOf(check)) ?? (next.next().value as Outcome))
  }
}
