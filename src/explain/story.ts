import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import { LAST_MS } from '../order/deadline.ts'
import { parseOrderId } from '../order/order-id.ts'
import { instantOf } from '../order/set-aside.ts'
import type { OrderStore } from '../order/store.ts'
import { mainCheckOf } from '../queue/view/check-facts.ts'
import type { QueueView } from '../queue/view/queue-view.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { MissingParts, OrderFacts } from './facts.ts'
import { type StoryEvent, timeLineOf } from './time-line.ts'
import { type Verdict, verdictOf } from './verdict.ts'

/** What happened to an order, or will. */
export interface Story {
  orderId: string
  /** When it was told, in epoch milliseconds. */
  now: number
  verdict: Verdict
  /** In order of time. */
  events: StoryEvent[]
  /** Whether the queue or the store has it. */
  isKnown: boolean
  /** The job that says most of it. */
  jobId?: string | undefined
  /** What could not be asked, and why. */
  missing: MissingParts
}

/** The queue, the order store and what else decides on a story. */
export interface ExplainSources {
  readonly view: Pick<QueueView, 'recordsOf' | 'lookFor' | 'holds'>
  /** May throw where it is not open. */
  readonly store: Pick<OrderStore, 'find' | 'eventsOf'>
  /** The status that a cancellation writes, where there is one. */
  readonly cancelledStatus: string | undefined
  /** How far the clock of the order store is ahead of ours, in milliseconds; undefined: not known. */
  readonly clockOffsets: { readonly store: number | undefined }
  /** The names of those that are told of events. */
  readonly sinks: readonly string[]
  readonly dryRun: boolean
  readonly clock: Clock
}

/** Whoever asks gets the other parts by then. */
const PART_WITHIN_MS = 5_000

/**
 * One order's story, from the queue and the order store. Where one of them cannot be asked, the rest is told, and the story
 * says so.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID; where neither can be asked, that of the queue: REDIS_*
 */
export async function explainOrder(options: {
  orderId: string
  /** Of a job that may be its check, beside those that are found. */
  jobId?: string | undefined
  sources: ExplainSources
}): Promise<Story> {
  const { view, dryRun, cancelledStatus, clockOffsets, clock } = options.sources
  const asked = { ...options, orderId: parseOrderId(options.orderId) }
  const missing: MissingParts = {}
  const part = async <T>(name: keyof MissingParts, read: () => Promise<T>): Promise<T | undefined> => {
    const onTimeout = () => tooLate(name)
    return withTimeout({ work: read(), ms: PART_WITHIN_MS, clock, onTimeout }).catch((error) => {
      missing[name] = asOrderExpiryError(error)
      return undefined
    })
  }
  const [queue, holds, store] = await Promise.all([
    part('queue', () => view.recordsOf(asked)),
    part('holds', () => view.holds()), // apart: where Redis refuses our keys, that is what holds all orders
    part('store', () => readStore(asked)),
  ])
  const looked =
    queue?.checks.length === 0 && queue.swept.length === 0
      ? await part('queue', () => view.lookFor({ orderId: asked.orderId, deadline: store?.order?.deadline }))
      : undefined
  if (missing.queue && missing.store) throw missing.queue
  return tellStory({
    orderId: asked.orderId,
    now: clock.now() + (clockOffsets.store ?? 0),
    storeAheadMs: clockOffsets.store,
    checks: looked?.checks ?? queue?.checks ?? [],
    swept: queue?.swept ?? [],
    ...(looked && { looked: looked.looked }),
    order: store?.order,
    events: store?.events,
    holds: { ...holds, dryRun },
    cancelledStatus,
    missing,
  })
}

/** One order's story, from what its checks, the sweeps and its store say. Each may be gone, or never have been. */
export function tellStory(facts: OrderFacts): Story {
  const { orderId, checks, swept, order, events, now, missing = {} } = facts
  return {
    orderId,
    now,
    verdict: verdictOf(facts),
    events: timeLineOf(facts),
    isKnown: checks.length > 0 || swept.length > 0 || order !== undefined || Boolean(events?.[0]),
    jobId: mainCheckOf(checks)?.jobId,
    missing,
  }
}

/** A story as it is printed and answered; times are ISO 8601, by the clock of the order store where it decides. */
export function storyJsonOf({ orderId, verdict, events, missing }: Story) {
  const { outcome, code, text, next, deadline, decidedAt, decidedBy, lateMs } = verdict
  return {
    orderId,
    outcome,
    code,
    verdict: text,
    ...(next && { next }),
    ...(isInstant(deadline) && { deadline: instantOf(deadline) }),
    ...(decidedAt && { decidedAt }),
    ...(decidedBy && { decidedBy }),
    ...(lateMs !== undefined && { lateMs }),
    events: events.map(({ at, ...event }) => ({ ...(isInstant(at) && { at: instantOf(at) }), ...event })),
    missing: describeMissing(missing),
    // Callers of earlier versions read the events here.
    story: events.map(({ at, text }) => ({ ...(isInstant(at) && { at: instantOf(at) }), what: text })),
  }
}

/** Which parts of a story are missing, and what that means. */
export function describeMissing({ queue, holds, store }: MissingParts) {
  return [
    ...(queue ? [describePart('queue', queue, holds ? `${CHECKS}, and ${HOLDS}` : CHECKS)] : []),
    ...(holds && !queue ? [describePart('holds', holds, HOLDS)] : []),
    ...(store ? [describePart('store', store, 'its status, its payment and its events')] : []),
  ]
}

const CHECKS = 'what its check and the sweeps did'
const HOLDS = 'whether the brake or a pause holds it back'

function describePart(part: keyof MissingParts, { code }: OrderExpiryError, what: string) {
  const share = part === 'holds' ? 'A part' : 'Half'
  const who = part === 'store' ? 'the order store' : 'Redis'
  const text = `${share} of this story is missing, because ${who} cannot be asked now (${code}): ${what}.`
  return { part, code, text }
}

type Asked = Parameters<typeof explainOrder>[0]

async function readStore({ orderId, sources }: Asked) {
  const { store, sinks } = sources
  const [[order], events] = await Promise.all([
    store.find([orderId]),
    store.eventsOf?.(orderId, sinks).catch((error) => {
      if (asOrderExpiryError(error).code === 'STORE_REFUSED') return undefined // the role may write events, not read them
      throw error
    }),
  ])
  return { order, events }
}

function tooLate(part: keyof MissingParts): OrderExpiryError {
  const code = part === 'store' ? 'STORE_UNAVAILABLE' : 'REDIS_UNAVAILABLE'
  return new OrderExpiryError(code, `no answer within ${PART_WITHIN_MS} ms; try again`)
}

/** Minus infinity is none. */
function isInstant(ms: number | undefined): ms is number {
  return ms !== undefined && ms > -LAST_MS
}
