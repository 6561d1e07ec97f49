import { LEFT_BEHIND_AFTER_MS, OVERDUE_AFTER_MS } from '../../order/promise.ts'
import { count, howLong } from '../../runtime/human-numbers.ts'
import type { Overview } from './read-overview.ts'
import type { Site } from './site.ts'
import { reasonOf, redisTrouble, storeTrouble, type Trouble } from './troubles.ts'

/** What holds up cancellations now, the cause of the rest first. */
export function troublesOf(overview: Overview, site: Site): Trouble[] {
  const { away, overdue, dryRun } = overview
  const { redis, store } = away
  const now = { ...site, vitals: { ...overview, outages: away, clock: site.vitals.clock } }
  const isSameOutage = redis && site.isStoreInRedis
  const causes = [
    ...phaseTroubles(overview),
    ...(redis ? [redisTrouble(now, redis)] : []),
    ...(store && !isSameOutage ? [storeTrouble(now, store)] : []),
    ...holdTroubles(overview, site),
  ]
  const isHeld = causes.length > 0 || dryRun
  return [
    ...causes,
    ...(overdue && overdue.orders > 0 ? [overdueTrouble({ ...overdue, isHeld })] : []),
    ...(dryRun ? [DRY_RUN] : []),
  ]
}

const SWEPT = 'Sweeps still cancel what is overdue, but later.'

const DRY_RUN: Trouble = {
  title: 'Dry run: nothing is cancelled',
  isMild: true,
  meaning: 'Because DRY_RUN is set, orders that would be cancelled are only logged.',
  alert: 'OrderExpiryDryRun',
}

function phaseTroubles({ phase, away }: Overview): Trouble[] {
  if (phase === 'running' || away.redis || away.store) return []
  const meaning = {
    starting: 'It checks no order yet. Nothing is lost: what is overdue is settled as soon as it runs.',
    stopping: 'Another process goes on, or the next one settles what falls due meanwhile.',
  }[phase]
  return [{ title: `This process is ${phase}`, isMild: true, meaning, alert: 'OrderExpiryProcessDown' }]
}

/** What somebody has stopped. Redis keeps it, so nothing is known of it while Redis is away. */
function holdTroubles(overview: Overview, site: Site): Trouble[] {
  const { brake, brakeFailure, workerFailure, counts, away, dryRun } = overview
  const isSwept = site.isSwept && !(brake?.engaged || brakeFailure || dryRun || away.store)
  const troubles: Trouble[] = []
  if (away.redis) return troubles
  if (brakeFailure) {
    troubles.push({
      title: 'The state of the brake is unknown',
      meaning: 'Nothing is lost, but no order is cancelled until it is known whether the brake is engaged.',
      alert: 'OrderExpiryBrakeUnknown',
    })
  } else if (brake?.engaged) {
    troubles.push({
      title: 'The brake is engaged',
      meaning:
        'No order is cancelled until somebody runs order-expiry brake release. Then what was held back is checked again.',
      reason: [brake.reason, brake.by && `by ${brake.by}`].filter(Boolean).join(', '),
      since: brake.since,
      alert: 'OrderExpiryBrakeEngaged',
    })
  }
  if (workerFailure) {
    troubles.push({
      title: 'Redis refuses the worker',
      meaning: isSwept ? `No check begins. ${SWEPT}` : 'No check begins, and no order is cancelled until it is mended.',
      reason: reasonOf(workerFailure),
      alert: 'OrderExpiryWorkerRefused',
    })
  }
  if (counts?.isPaused) {
    troubles.push({
      title: 'The queue is paused',
      meaning: `No check begins until somebody resumes the queue on the board.${isSwept ? ` ${SWEPT}` : ''}`,
      alert: 'OrderExpiryQueuePaused',
    })
  }
  return troubles
}

/** @param options.isHeld something else tells what keeps them */
function overdueTrouble(options: NonNullable<Overview['overdue']> & { isHeld: boolean }): Trouble {
  const { orders, oldestSeconds, isHeld } = options
  const oldestMs = oldestSeconds * 1_000
  const isLeft = oldestMs > LEFT_BEHIND_AFTER_MS
  const next = isHeld ? '' : ' The next sweep cancels what it may.'
  const what = isLeft ? ' Sweep after sweep has left it: something is in its way.' : next
  return {
    title: `${count(orders, 'order')} ${orders === 1 ? 'is' : 'are'} late`,
    tab: `${orders} late`,
    meaning: `Unpaid more than ${OVERDUE_AFTER_MS / 1_000} s past the deadline, the oldest for ${howLong(oldestMs)}.${what}`,
    alert: isLeft ? 'OrderExpiryOldestOverdue' : 'OrderExpiryOverdue',
  }
}
