import { judgePromises } from '../../src/commands/demo/judge.ts'
import { HEALTHY_MS, SWEPT_AFTER_MS, WITHOUT_REDIS_MS } from '../../src/order/promise.ts'
import type { Exemption } from './fake-brake.ts'
import type { FinishedJob } from './fake-claims.ts'
import { EPOCH, type Host } from './host.ts'
import type { Scenario } from './scenario.ts'
import type { Servers, SimulatedDaemon } from './simulated-daemon.ts'
import type { SimulatedStore } from './simulated-store.ts'

const SLACK_MS = 25_000
/** From a reservation at the brake to the commit, at the longest, where nothing is frozen. */
const ON_THE_WAY_MS = 2_000
/** How long a process may believe what it has read of the brake and of payments. */
const FRESH_MS = 4_000
/** While everything is healthy: what is promised, and six messages at the slowest. */
const PROMPT_MS = HEALTHY_MS + 6 * 150
/** The same while only Redis is away. */
const WITHOUT_REDIS_PROMPT_MS = WITHOUT_REDIS_MS + 6 * 150
const HEART_MS = 60_000

interface Evidence {
  scenario: Scenario
  servers: Servers
  daemons: readonly SimulatedDaemon[]
  finished: readonly FinishedJob[]
  endedAt: number
}

/** The promises that were broken in a run, each with its name first. It trusts the histories of the servers only. */
export function judge(evidence: Evidence): string[] {
  return [
    ...judgeOrders(evidence),
    ...judgeSteps(evidence),
    ...judgeJobs(evidence),
    ...judgeBrake(evidence),
    ...judgeEngagements(evidence),
    ...evidence.daemons.flatMap(({ host, breaker, heartbeat }) => [
      ...(breaker.failure ? [`I2: the breaker of ${host.name} is still open`] : []),
      ...(heartbeat.ageMs > HEART_MS ? [`I7: the sweeper of ${host.name} stands still`] : []),
    ]),
  ]
}

/** I1 to I4. While everything but Redis is healthy an order is cancelled within a second, unless a payment has held it. */
function judgeOrders({ scenario, servers: { store }, endedAt }: Evidence): string[] {
  const isRedisAway = scenario.operations.some(({ kind }) => kind === 'redis-away')
  const wasHeld = new Set(store.history.flatMap(({ orderId, what }) => (what === 'paying' ? orderId : [])))
  const breaches = judgePromises({
    facts: store.history,
    withinMs: (orderId) => {
      if (store.bad.has(orderId)) return Number.POSITIVE_INFINITY
      if (scenario.isHealthy && !wasHeld.has(orderId)) return isRedisAway ? WITHOUT_REDIS_PROMPT_MS : PROMPT_MS
      return SWEPT_AFTER_MS + SLACK_MS + scenario.settings.sweepEveryMs
    },
    healthySince: scenario.isHealthy ? 0 : EPOCH + scenario.spanMs,
    until: EPOCH + endedAt,
  })
  return breaches.map(({ text, at }) => `${text}, at ${(at - EPOCH) / 1_000} s`)
}

/** A cancellation is announced in the step in which it happens, and a dry run cancels nothing. */
function judgeSteps({ servers: { store } }: Evidence): string[] {
  return store.history.flatMap(({ orderId, what, step, at, by }, n) => {
    const where = `${orderId} at ${(at - EPOCH) / 1_000} s`
    if (what === 'cancelled' && by?.isDryRun) return [`dry run: cancelled: ${where}`]
    if (what !== 'announced') return []
    const cancellation = store.history
      .slice(0, n)
      .findLast((each) => each.orderId === orderId && each.what === 'cancelled')
    return cancellation?.step === step ? [] : [`I3: announced in another step than cancelled: ${where}`]
  })
}

/** No check is finished while its order is open, and each ends. */
function judgeJobs({ servers, finished }: Evidence): string[] {
  const { store, queue } = servers
  const early = finished.filter(({ job, at, kind, decidedAt }) => {
    const status = statusAt(store, job.orderId, EPOCH + at, kind === 'missing' ? decidedAt : undefined)
    return status === 'open'
  })
  const open = [...queue.jobs.values()].filter(({ state, orderId }) => state !== 'completed' && !store.bad.has(orderId))
  return [
    ...early.map(({ job, kind, at }) => `I2: ${job.jobId} finished as ${kind} at ${at / 1_000} s, its order is unpaid`),
    ...open.map(({ jobId, state }) => `I6: ${jobId} has not ended, it is ${state}`),
  ]
}

/** @param placedBefore an order that came later could not be seen */
function statusAt(store: SimulatedStore, orderId: string, at: number, placedBefore = Number.POSITIVE_INFINITY) {
  const history = store.history.filter((each) => each.orderId === orderId && each.at <= at && each.what !== 'announced')
  const [placed] = history
  if (!placed || placed.at >= placedBefore) return 'not seen'
  return ['paid', 'withdrawn', 'cancelled'].includes(history.at(-1)?.what as string) ? 'settled' : 'open'
}

/**
 * The limit engages it only where more orders are cancelled, or are to be, than it allows. Each process may ask twice for the
 * same order, once for its worker and once for its sweep.
 */
function judgeEngagements({ scenario, servers }: Evidence): string[] {
  const { store, brake } = servers
  const limit = scenario.settings.maxPerMinute ?? 0
  return brake.changes.flatMap(({ at: time, reason }) => {
    if (reason !== 'limit') return []
    let wanted = 0
    for (const { orderId } of store.all) {
      const history = store.history.filter((each) => each.orderId === orderId && each.at <= EPOCH + time)
      const ended = history.find(({ what }) => ['paid', 'withdrawn', 'cancelled'].includes(what))
      const deadlines = history.flatMap(({ deadline }) => deadline ?? [])
      if (ended && ended.at < EPOCH + time - ON_THE_WAY_MS)
        wanted += Number(ended.what === 'cancelled' && ended.at > EPOCH + time - 62_000)
      else if (Math.min(...deadlines) <= EPOCH + time) wanted += 4
    }
    return wanted > limit ? [] : [`brake: engaged at ${time / 1_000} s for at most ${wanted} orders`]
  })
}

/**
 * Never more than the limit in any minute, by one process not even where Redis has lost its data; none while the brake is
 * engaged, none in silence, none by a process that does not know yet whether it is engaged.
 */
function judgeBrake({ scenario, servers }: Evidence): string[] {
  const { maxPerMinute, paymentSilenceMs } = scenario.settings
  const { brake, store } = servers
  const frozenMs = scenario.operations.map((each) => (each.kind === 'freeze' ? each.forMs : 0))
  const onTheWay = ON_THE_WAY_MS + Math.max(0, ...frozenMs)
  const releases = brake.exemptions.filter(({ isLoss }) => !isLoss)
  const isExempt = (time: number, exemptions: readonly Exemption[] = brake.exemptions) =>
    exemptions.some(({ from, until }) => time >= from && time <= until + onTheWay)
  const lastExemption = (time: number, exemptions: readonly Exemption[]) =>
    exemptions.findLast(({ from }) => from <= time)?.until ?? -1
  const isWatching = maxPerMinute !== undefined || paymentSilenceMs !== undefined
  const isUnknown = !isWatching && scenario.operations.some(({ kind }) => kind === 'redis-away')
  const cancellations = store.history.flatMap(({ what, at, by }) =>
    what === 'cancelled' ? [{ at: at - EPOCH, by }] : [],
  )
  const countMinute = (time: number, exemptions: readonly Exemption[], by?: Host) => {
    const since = Math.max(time - 60_000 + onTheWay, lastExemption(time, exemptions))
    return cancellations.filter(
      (each) => each.at > since && each.at <= time && !isExempt(each.at, exemptions) && (!by || each.by === by),
    ).length
  }
  const payments = store.history.flatMap(({ what, at }) => (what === 'paid' ? [at - EPOCH] : []))

  return cancellations.flatMap(({ at: time, by }) => {
    const where = `at ${time / 1_000} s`
    const violations: string[] = []
    const count = Math.max(countMinute(time, brake.exemptions), countMinute(time, releases, by))
    if (maxPerMinute !== undefined && count > maxPerMinute)
      violations.push(`brake: ${count} cancelled within a minute, ${where}`)
    // Within the same instant: times of the store are rounded, since they count from 1970.
    if (by && (brake.firstReadAt.get(by) ?? Number.POSITIVE_INFINITY) > time + 0.001)
      violations.push(`brake: cancelled before its state was read, ${where}`)
    if (!isUnknown && isEngagedThroughout(brake.changes, time - onTheWay - FRESH_MS, time))
      violations.push(`brake: cancelled while engaged, ${where}`)
    const newest = payments.findLast((at) => at <= time)
    const silence = newest === undefined ? 0 : time - newest - onTheWay - FRESH_MS
    if (paymentSilenceMs !== undefined && silence > paymentSilenceMs && !isExempt(time))
      violations.push(`brake: cancelled in silence, ${where}`)
    return violations
  })
}

function isEngagedThroughout(
  changes: readonly { at: number; engaged: boolean }[],
  from: number,
  until: number,
): boolean {
  const before = changes.findLast(({ at }) => at <= from)
  return before?.engaged === true && !changes.some(({ at, engaged }) => !engaged && at > from && at <= until)
}
