import { ALLOWED } from './allowed.ts'
import type { Known } from './side.ts'
import type { Kept, Snapshot } from './snapshot.ts'

/** Time that passes between the same step of two sides. */
const SLACK_MS = 5_000

/** What differs, in words. */
export function differences(theirs: Snapshot, ours: Snapshot): string[] {
  const keys = new Set([...theirs.keys(), ...ours.keys()])
  return [...keys].toSorted().flatMap((key) => {
    if (ALLOWED.some(({ isKey }) => isKey?.(key))) return []
    const [a, b] = [theirs.get(key), ours.get(key)]
    const [textA, textB] = [textOf(a), textOf(b)]
    if (textA !== textB) return [`${key}\n  theirs ${textA}\n  ours   ${textB}`]
    const isSameTtl = a && b && a.ttlMs < 0 === b.ttlMs < 0 && Math.abs(a.ttlMs - b.ttlMs) < SLACK_MS
    return isSameTtl ? [] : [`${key} expires in ${a?.ttlMs} and ${b?.ttlMs} ms`]
  })
}

function textOf(kept: Kept | undefined): string {
  if (!kept) return 'nothing'
  const { type, content } = kept
  if (type === 'stream') return eventsOf(content as string[][])
  const shown = content.map((one) => {
    const [field, value] = typeof one === 'string' ? [one, one] : (one as string[])
    return ALLOWED.some(({ isField }) => isField?.(field as string))
      ? [field, '…']
      : typeof one === 'string'
        ? one
        : [field, value]
  })
  return `${type} ${JSON.stringify(shown)}`
}

/** Of each job in order; those of different jobs may mix, since ours takes many and ends many. Of no job, as many of each. */
function eventsOf(entries: readonly string[][]): string {
  const byJob = new Map<string, string[]>()
  for (const fields of entries) {
    const at = fields.indexOf('jobId')
    const job = at < 0 ? '' : (fields[at + 1] as string)
    byJob.set(job, [...(byJob.get(job) ?? []), fields.join(' ')])
  }
  const inNoOrder = byJob.get('')?.toSorted()
  if (inNoOrder) byJob.set('', inNoOrder)
  return JSON.stringify([...byJob].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * Whether somebody would look in time for what is left, where BullMQ's Worker would; if not, why. For what there was already when
 * jobs were taken, others must be woken; until the next job is due, whoever has taken them sleeps.
 */
export function whyNotWoken(theirs: Snapshot, ours: Snapshot, known: Known, now: number): string[] {
  const { isOpen, isWaiting, nextDue } = stateOf(ours)
  if (!isOpen || known.isToldLater) return []
  const isForOthers = isWaiting || nextDue <= known.since
  const inTime = Math.max(isForOthers ? now : nextDue, wakeAt(theirs, now))
  const wake = wakeAt(ours, now)
  if (wake <= inTime || (!isForOthers && known.at <= inTime)) return []
  return [`the marker: somebody must look until ${inTime}, and is woken at ${wake}`]
}

/** Whether a job of a scheduler could be taken. */
export function hasRepetitionDue(queue: Snapshot, now: number): boolean {
  const waiting = [...(queue.get('Q:wait')?.content ?? []), ...(queue.get('Q:prioritized')?.content ?? [])].flat()
  const delayed = (queue.get('Q:delayed')?.content ?? []) as [string, string][]
  const due = delayed.flatMap(([id, score]) => (Number(score) / 0x1000 <= now + 1 ? [id] : []))
  return [...waiting, ...due].some((id) => id.startsWith('repeat:'))
}

function stateOf(queue: Snapshot) {
  const meta = new Map((queue.get('Q:meta')?.content ?? []) as [string, string][])
  const active = queue.get('Q:active')?.content.length ?? 0
  const isMaxed = meta.has('concurrency') && active >= Number(meta.get('concurrency'))
  const isLimited = meta.has('max') && Number(queue.get('Q:limiter')?.content[0] ?? 0) >= Number(meta.get('max'))
  const first = queue.get('Q:delayed')?.content[0] as [string, string] | undefined
  return {
    isOpen: !meta.has('paused') && !isMaxed && !isLimited,
    isWaiting: queue.has('Q:wait') || queue.has('Q:prioritized'),
    nextDue: first ? Math.floor(Number(first[1]) / 0x1000) : Number.POSITIVE_INFINITY,
  }
}

function wakeAt(queue: Snapshot, now: number): number {
  const markers = (queue.get('Q:marker')?.content ?? []) as [string, string][]
  const times = markers.map(([member, score]) => (member === '0' ? now : Math.max(now, Math.floor(Number(score)))))
  return Math.min(...times, Number.POSITIVE_INFINITY)
}
