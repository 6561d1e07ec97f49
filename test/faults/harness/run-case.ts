import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogLine } from '../../helpers/daemon.ts'
import { judgeRun } from './checker.ts'
import { type FaultCase, KNOWN_MS, LATE_MS, UNKNOWN_MS } from './fault-case.ts'
import { placeLateCrowd, untilAllFetch, untilAllServe, untilNoneDue, untilWorkedOff } from './late-crowd.ts'
import { World } from './world.ts'

/** Lines that a worker may write in a second, in any outage, beside those that come with its start and its end. */
const MAX_LINES_PER_SECOND = 10
const START_OR_END = /^\S+ started$|^ready$|^stopping: |^stopped$/
/** A line for each run. */
export const RESULTS = '.faults/results.jsonl'

export interface CaseResult {
  case: string
  seed: number
  orders: number
  cancelled: number
  /** Milliseconds, of orders that Redis knew; null where none was left to be cancelled after the healing. */
  p50: number | null
  max: number | null
  /** Of orders that Redis had lost or never been told of. */
  maxForgotten: number | null
  tookMs: number
  violations: string[]
  notes: string[]
  at: string
  node: string
  redis: string
  /** Where it has a part in the case. */
  postgres?: string
}

/** Runs a case in a world of its own and judges it. */
export async function runCase(
  fault: FaultCase,
  seed: number,
  { isRecorded = true }: { isRecorded?: boolean } = {},
): Promise<CaseResult> {
  const startedAt = Date.now()
  const world = await World.create({ seed, ...fault.world })
  try {
    const healedAt = await fault.run(world)
    const { refusal } = fault
    if (refusal !== undefined && !world.hasMet(refusal)) throw new Error(`expected a worker to meet ${refusal}`)
    await settle(world, fault, healedAt)
    const late = await expectRecovery(world, fault, healedAt)
    const violations = [...late.violations, ...(await expectQueueDrained(world, fault, healedAt))]
    const { shop, known, scheduled } = world
    const [history, holdings] = await Promise.all([shop.history(), shop.holdings()])
    const { boundMs, rejects } = fault
    const forgottenBoundMs = Math.max(UNKNOWN_MS, boundMs)
    const verdict = judgeRun({
      history,
      holdings,
      healedAt,
      boundMs,
      known,
      forgottenBoundMs,
      late,
      rejects,
      now: Date.now(),
    })
    violations.push(...world.violations, ...verdict.violations, ...judgeWorkers(world))
    violations.push(...(await shop.brokenWords(scheduled)))
    const { recoveries, forgottenRecoveries } = verdict
    const result: CaseResult = {
      case: fault.name,
      seed,
      orders: verdict.orders,
      cancelled: verdict.cancelled,
      p50: rounded(recoveries[Math.floor(recoveries.length / 2)]),
      max: rounded(recoveries.at(-1)),
      maxForgotten: rounded(forgottenRecoveries.at(-1)),
      tookMs: Date.now() - startedAt,
      violations,
      notes: world.notes,
      at: new Date().toISOString(),
      ...(await versions(world)),
    }
    if (isRecorded) record(result)
    if (isRecorded && violations.length > 0) keepLogs(world, result)
    return result
  } finally {
    await world.destroy()
  }
}

/** A case that must be green. @throws if a promise was broken, with the seed that breaks it again */
export async function provePromises(fault: FaultCase, seed: number): Promise<CaseResult> {
  const replay = `npm run faults -- ${fault.replay ?? `--case "${fault.name}"`} --seed ${seed}`
  let result: CaseResult
  try {
    result = await runCase(fault, seed)
  } catch (cause) {
    throw new Error(`the case itself failed; again with: ${replay}\n${(cause as Error).stack}`, { cause })
  }
  const { violations } = result
  if (violations.length > 0) {
    const more = violations.length > 15 ? `\n  and ${violations.length - 15} more` : ''
    throw new Error(`again with: ${replay}\n  ${violations.slice(0, 15).join('\n  ')}${more}`)
  }
  return result
}

function record(result: CaseResult): void {
  mkdirSync(dirname(RESULTS), { recursive: true })
  appendFileSync(RESULTS, `${JSON.stringify(result)}\n`)
}

/** What the workers said, for whoever looks for the cause; the verdict itself takes nothing from it. */
function keepLogs(world: World, result: CaseResult): void {
  const name = `${result.case}-${result.seed}`.replace(/[^a-z0-9]+/gi, '-')
  const lines = world.workers.flatMap(({ logs }, worker) => logs.map((line) => JSON.stringify({ worker, ...line })))
  writeFileSync(`${dirname(RESULTS)}/${name}.log`, [JSON.stringify(result), ...lines, ''].join('\n'))
}

/** Waits until every order is settled, or should be. */
async function settle(world: World, fault: FaultCase, healedAt: number): Promise<void> {
  const { shop } = world
  const lastDeadline = await shop.lastDeadline()
  const isAllKnown = (await shop.unpaid()).every((id) => world.known.has(id))
  const boundMs = isAllKnown ? fault.boundMs : Math.max(UNKNOWN_MS, fault.boundMs)
  const endsAt = Math.max(healedAt, lastDeadline) + boundMs + 1_000
  while ((await countWaiting(world, fault)) > 0 && Date.now() < endsAt) await sleep(100)
}

/** Unpaid orders that can be cancelled, due or not. */
async function countWaiting({ shop }: World, { rejects }: FaultCase): Promise<number> {
  return rejects ? (await shop.unpaid()).filter((id) => !rejects(id)).length : shop.countWaiting()
}

/**
 * Once the fault is over, every worker works, and not only the sweep: each fetches, a late crowd is cancelled before the
 * sweep could do it, every probe is green and no job that is due is left lying.
 */
async function expectRecovery(
  world: World,
  fault: FaultCase,
  healedAt: number,
): Promise<{ ids: ReadonlySet<string>; boundMs: number; violations: string[] }> {
  const { lateMs: boundMs = LATE_MS, aftermathMs = 0 } = fault
  if (boundMs === 'none') return { ids: new Set(), boundMs: 0, violations: [] }
  await sleep(Math.max(0, healedAt + aftermathMs - Date.now()))
  const violations = await untilAllFetch(world, healedAt + KNOWN_MS)
  await untilWorkedOff(world, healedAt + KNOWN_MS)
  const { ids, deadline } = await placeLateCrowd(world)
  const endsAt = deadline + boundMs
  await sleep(deadline - Date.now())
  while ((await countWaiting(world, fault)) > 0 && Date.now() < endsAt) await sleep(50)
  violations.push(...(await untilAllServe(world)), ...(await untilNoneDue(world)))
  return { ids, boundMs, violations }
}

/** Waits until the queue has let go of its jobs. @returns what did not happen in time */
async function expectQueueDrained(world: World, fault: FaultCase, healedAt: number): Promise<string[]> {
  const violations: string[] = []
  // A job whose lock outlived its worker is taken over within a lock and two stalled checks.
  const activeUntil = Math.max(Date.now(), healedAt) + 40_000
  let active = await world.countJobs('active')
  for (; active > 0 && Date.now() < activeUntil; active = await world.countJobs('active')) await sleep(100)
  if (active > 0) violations.push(`I6: ${active} jobs are still active`)
  const { rejects = () => false, failedJobs: expected = 0 } = fault
  const failed = (await world.failedOrders()).filter((id) => !rejects(id)).length
  if (failed > expected) violations.push(`I6: ${failed} jobs in the failed set, expected at most ${expected}`)
  if (fault.rejects) violations.push(...(await untilRejectedAreSeen(world, fault.rejects)))
  return violations
}

/** Waits until each order that cannot be cancelled stands in the failed set. @returns what is wrong */
async function untilRejectedAreSeen(world: World, rejects: (orderId: string) => boolean): Promise<string[]> {
  const endsAt = Date.now() + KNOWN_MS
  for (;;) {
    const failed = new Set(await world.failedOrders())
    const rejected = (await world.shop.unpaid()).filter(rejects)
    const unseen = rejected.filter((id) => world.known.has(id) && !failed.has(id))
    if (rejected.length === 0) return ['expected some orders that cannot be cancelled']
    if (unseen.length === 0) return []
    if (Date.now() > endsAt) return [`I6: ${unseen.length} rejected orders are not in the failed set, as ${unseen[0]}`]
    await sleep(100)
  }
}

/** What the workers' processes show from outside. */
function judgeWorkers(world: World): string[] {
  return world.workers.flatMap((worker, index) => {
    const violations: string[] = []
    if (worker.hasExited && !world.ended.has(worker)) {
      violations.push(`I8: worker ${index} has ended, exit code ${worker.child.exitCode}: ${worker.stderr}`)
    }
    const worst = busiestSecond(worker.logs)
    if (worst.length > MAX_LINES_PER_SECOND) {
      const last = JSON.stringify(worst.at(-1))
      violations.push(`I7: worker ${index} wrote ${worst.length} lines in a second, the last of them ${last}`)
    }
    const [stray] = worker.stray
    if (stray !== undefined) {
      violations.push(
        `I7: worker ${index} wrote ${worker.stray.length} lines that are no JSON, the first of them ${stray}`,
      )
    }
    return violations
  })
}

/** The most lines that follow each other within a second. A clock that steps back ends a second. */
export function busiestSecond(lines: readonly LogLine[]): LogLine[] {
  const counted = lines
    .filter(({ msg }) => !START_OR_END.test(msg))
    .map((line) => ({ line, at: Date.parse(String(line.time)) }))
  let worst: LogLine[] = []
  for (const [index, { at: from }] of counted.entries()) {
    const rest = counted.slice(index)
    const length = rest.findIndex(({ at }) => at < from || at >= from + 1_000)
    const second = length < 0 ? rest : rest.slice(0, length)
    if (second.length > worst.length) worst = second.map(({ line }) => line)
  }
  return worst
}

async function versions(world: World): Promise<Pick<CaseResult, 'node' | 'redis' | 'postgres'>> {
  const info = await world.admin.info('server')
  const postgres = await world.shop.postgresVersion()
  return {
    node: process.version,
    redis: /redis_version:(\S+)/.exec(info)?.[1] ?? '',
    ...(postgres !== undefined && { postgres }),
  }
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms)
}
