import type { Brake } from '../brake/brake.ts'
import { RedisBrake } from '../brake/redis-brake.ts'
import { queueOf } from '../config.ts'
import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { Check } from '../order/order.ts'
import { createSettle } from '../order/settle.ts'
import type { OrderStore, PaidLate, SetAside } from '../order/store.ts'
import { MissingChecks } from '../queue/missing-checks.ts'
import { SweepNotes } from '../queue/sweep-notes.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { Clock } from '../runtime/clock.ts'
import { openStore } from '../stores/kinds.ts'
import { tellPaidLate } from '../sweep/paid-late-teller.ts'
import { sweep } from '../sweep/sweep.ts'
import type { SweepResult } from '../sweep/tally.ts'
import { announcementsOf } from './announcing.ts'
import { chooseStore, createGuards, type Given, nameOfProcess, openConnection } from './parts.ts'
import { openClosings, settlingClosed } from './paying.ts'

export interface SweptOnce extends SweepResult {
  /** As it was last read. */
  brake: Brake
  /** As it was before the sweep. Undefined: the store has none, or cannot tell. */
  setAside?: SetAside
  /** Payments that came after the cancellation of their order, and that nobody had been told of yet. Undefined: none, or a dry run. */
  paidLate?: number
}

/**
 * One sweep by hand, with a brake and dry run as the settings say.
 *
 * @param options.dryRun change nothing, whatever the settings say
 * @param options.backlog settle the backlog instead of what is overdue
 */
export async function sweepOnce(
  options: Given & {
    redisAddress: RedisAddress
    dryRun: boolean
    backlog: boolean
    signal: AbortSignal
  },
): Promise<SweptOnce> {
  const { config, redisAddress, dryRun, backlog, events, clock, signal } = options
  const isDryRun = dryRun || config.DRY_RUN
  const store = await openStore(chooseStore({ config, redisAddress, access: isDryRun ? 'read' : undefined }))
  const connection = openConnection(redisAddress)
  const queue = queueOf(config)
  const missingChecks = new MissingChecks({ redis: redisAddress, queue, clock })
  const notes = new SweepNotes({ connection, queue, by: nameOfProcess(), clock })
  let paying: Awaited<ReturnType<typeof openClosings>>
  try {
    const { brake, guarded } = createGuards({
      settings: { ...config, DRY_RUN: isDryRun },
      store,
      shared: new RedisBrake({ connection, queue }),
      remembered: Number.POSITIVE_INFINITY,
      events,
      clock,
    })
    await brake.refresh() // a dry run does not ask for it
    const found = await readSetAside(store)
    const announcements = isDryRun ? undefined : announcementsOf({ config, store, connection })
    paying = isDryRun ? undefined : await openClosings({ ...options, announcements, connection, queue })
    const bySweep = (checks: readonly Check[]) => guarded.cancelUnpaid(checks, { by: 'sweep' })
    const closing = { cancelUnpaid: paying?.closings.guard(bySweep) ?? bySweep }
    const settleUntold = settlingClosed(createSettle({ store: closing, ping: () => store.ping(), clock }))
    const settle = announcements?.tellingKept?.(settleUntold, 'sweep') ?? settleUntold
    const swept = await sweep({
      store,
      settle: async (checks) => {
        const settlements = await settle(checks)
        if (!dryRun) notes.note(checks, settlements)
        return settlements
      },
      addChecks: (orders) => missingChecks.add(orders, { dryRun }),
      aheadMs: config.SWEEP_AHEAD,
      backlog,
      pageSize: config.BATCH_SIZE,
      clock,
      signal,
    })
    const late = isDryRun ? {} : await tellLate(store, clock)
    return { ...late, ...found, ...swept, brake }
  } finally {
    await paying?.dispose()
    await notes.stop()
    await missingChecks.close()
    connection.close()
    await store.close()
  }
}

async function tellLate(store: OrderStore, clock: Clock): Promise<Pick<SweptOnce, 'paidLate' | 'error'>> {
  const tell = store.tellPaidLate?.bind(store)
  if (!tell) return {}
  let paidLate = 0
  const onTold = (orders: readonly PaidLate[]) => {
    paidLate += orders.length
  }
  const error = await tellPaidLate({ tell, onTold, clock })
  return { ...(paidLate > 0 && { paidLate }), ...(error && { error }) }
}

/** A failure is no reason not to sweep. */
async function readSetAside(store: OrderStore): Promise<Pick<SweptOnce, 'setAside' | 'error'>> {
  try {
    const setAside = await store.setAside?.()
    return setAside ? { setAside } : {}
  } catch (error) {
    const { code, message } = asOrderExpiryError(error)
    return { error: new OrderExpiryError(code, `what is set aside cannot be read: ${message}`, { cause: error }) }
  }
}
