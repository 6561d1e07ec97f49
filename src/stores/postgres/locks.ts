import { OrderExpiryError } from '../../errors.ts'
import type { Check, Outcome } from '../../order/order.ts'
import { OVERDUE_AFTER_MS } from '../../order/promise.ts'
import type { Connections } from './connections.ts'
import { rejected } from './rows.ts'

/**
 * Of the outcomes `locked`, leaves those that somebody has really locked; the others are rejected, because of `why`. Where we may
 * not lock rows, we are never told: those are taken for locked until they are overdue.
 *
 * @param options.lockable a statement that locks the rows of $1 ids, or fails at once if it would have to wait
 */
export async function rejectUnlocked(options: {
  checks: readonly Check[]
  outcomes: readonly Outcome[]
  isDoubtful?: (check: Check) => boolean
  why: string
  connections: Connections
  lockable: string
  idOf: (check: Check) => string
}): Promise<Outcome[]> {
  const { checks, outcomes, isDoubtful = () => true, why, connections, lockable, idOf } = options
  const ids = checks.filter((check, n) => isLocked(outcomes[n]) && isDoubtful(check)).map(idOf)
  let isToldOfLocks = true
  const unlocked = await findUnlocked([...new Set(ids)])
  return outcomes.map((outcome, n) =>
    isLocked(outcome) && unlocked.has(idOf(checks[n] as Check)) && (isToldOfLocks || isOverdue(outcome))
      ? rejected(why, outcome.evidence)
      : outcome,
  )

  /** Those that nobody has locked, and that could not be locked either. */
  async function findUnlocked(some: readonly string[]): Promise<Set<string>> {
    if (some.length === 0) return new Set()
    try {
      const rows = await connections.with(async (client) => (await client.query<{ id: string }>(lockable, [some])).rows)
      const lockableNow = new Set(rows.map(({ id }) => idOf({ orderId: id, deadline: 0 })))
      return new Set(some.filter((id) => !lockableNow.has(id)))
    } catch (error) {
      const code = error instanceof OrderExpiryError ? error.code : undefined
      if (code && ['STORE_REFUSED', 'STORE_MISMATCH', 'STORE_REJECTED'].includes(code)) {
        isToldOfLocks = false // we have no permission, or the view cannot
        return new Set(some)
      }
      if (code !== 'STORE_LOCKED') return new Set() // the batch is decided all the same
      if (some.length === 1) return new Set()
      const middle = Math.ceil(some.length / 2)
      const front = await findUnlocked(some.slice(0, middle))
      return new Set([...front, ...(await findUnlocked(some.slice(middle)))])
    }
  }
}

function isOverdue({ evidence: { decidedAt, deadline = decidedAt } }: Outcome): boolean {
  return decidedAt - deadline > OVERDUE_AFTER_MS
}

export function isLocked(outcome: Outcome | undefined): boolean {
  return outcome?.kind === 'postponed' && outcome.reason === 'locked'
}
