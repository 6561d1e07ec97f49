import type { EventBus } from '../observe/events.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import type { Service } from '../runtime/service.ts'
import { untilAborted } from '../runtime/timeout.ts'
import { CheckQueue, type OpenQueue } from './check-queue.ts'
import { forgetGoneJobs } from './foreign-jobs.ts'
import { dropSweepNotes } from './sweep-notes.ts'

/** How long finished checks are kept, and how many of them, whichever is less. */
export interface Retention {
  ageMs: number
  count: number
}

type State = 'completed' | 'failed'
/** What is dropped, in this order: what sweeps noted goes when finished checks of its age go. */
const DROPPED = ['completed', 'failed', 'swept'] as const

const DAY_MS = 86_400_000
const CHECKS_KEPT: Record<State, Retention> = {
  completed: { ageMs: 7 * DAY_MS, count: 20_000 },
  failed: { ageMs: 90 * DAY_MS, count: 100_000 },
}
/** The pause between two rounds, give or take the share. */
const ROUND_EVERY_MS = 30_000
const JITTER_SHARE = 0.2
/** Checks in one script, which takes a millisecond or two, and the pause before the next: Redis has more urgent work. */
const CHECKS_IN_ONE_SCRIPT = 100
const BREATH_MS = 10
/** How long a process keeps its turn unless it takes it again; the others look again in their next round. */
const TURN_MS = 5_000

/**
 * Drops finished checks, and what sweeps noted, that are too old or too many, a few at a time. BullMQ could drop one whenever another finishes, but
 * that would cost Redis up to a fifth of what it settles in a burst, and a surplus of a million would block it for seconds.
 *
 * @param options.connection whose commands time out; it is not closed
 */
export function createRetention(options: {
  connection: Connection
  queue: NamedQueue
  keep?: Record<State, Retention>
  events: EventBus
  clock: Clock
  random?: () => number
}): Service {
  const { connection, keep = CHECKS_KEPT, events, clock, random = Math.random } = options
  const checkQueue = new CheckQueue(options)
  const { keys } = options.queue
  /** How many orders the last whole look has left in the journal of foreign jobs. */
  let journalLeft = 0

  async function step(signal: AbortSignal): Promise<number> {
    try {
      for (const what of DROPPED) await untilAborted(trim(what, signal), signal)
      await untilAborted(trimJournal(signal), signal)
    } catch (error) {
      if (!signal.aborted) events.emit('redis-error', { connection: 'retention', error: connection.explain(error) })
    }
    return untilNextRoundMs()
  }

  async function trim(what: (typeof DROPPED)[number], signal: AbortSignal): Promise<void> {
    const open = await checkQueue.open()
    const isSweep = what === 'swept'
    const surplus = isSweep ? open.redis.zcount(keys.sweptAt, '-inf', sweptBefore()) : countSurplus(open, what)
    if ((await surplus) === 0) return // a turn would cost more commands
    const drop = () => (isSweep ? dropSwept(open) : dropOldest(open, what))
    await takeTurn(async () => (await drop()) < CHECKS_IN_ONE_SCRIPT, signal)
  }

  /** Looks at all of it once it has grown to twice what was left: so each order costs a look or two, and few that are gone stay. */
  async function trimJournal(signal: AbortSignal): Promise<void> {
    const open = await checkQueue.open()
    const noted = await open.redis.hlen(keys.foreignJobs)
    journalLeft = Math.min(journalLeft, noted)
    if (noted <= 2 * journalLeft) return
    let cursor = '0'
    await takeTurn(async () => {
      cursor = await forgetGoneJobs(open, cursor)
      if (cursor === '0') journalLeft = await open.redis.hlen(keys.foreignJobs)
      return cursor === '0'
    }, signal)
  }

  /** Takes steps until one says that it was the last, unless another process has its turn. */
  async function takeTurn(step: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    const { redis } = await checkQueue.open()
    let isOurs = (await redis.set(keys.retention, '1', 'PX', TURN_MS, 'NX')) === 'OK'
    while (isOurs && !signal.aborted) {
      if (await step()) {
        await redis.del(keys.retention)
        return
      }
      await clock.sleep(BREATH_MS, signal)
      isOurs = (await redis.set(keys.retention, '1', 'PX', TURN_MS, 'XX')) === 'OK'
    }
  }

  /** @returns how many it has dropped */
  async function dropOldest(open: OpenQueue, state: State): Promise<number> {
    const surplus = await countSurplus(open, state)
    return surplus > 0 ? (await open.queue.clean(0, Math.min(surplus, CHECKS_IN_ONE_SCRIPT), state)).length : 0
  }

  async function countSurplus({ redis }: OpenQueue, state: State): Promise<number> {
    const { ageMs, count } = keep[state]
    const finished = keys[state]
    const [all, old] = await Promise.all([redis.zcard(finished), redis.zcount(finished, '-inf', clock.now() - ageMs)])
    return Math.max(0, all - count, old)
  }

  function dropSwept(open: OpenQueue): Promise<number> {
    return dropSweepNotes(open, { before: sweptBefore(), atMost: CHECKS_IN_ONE_SCRIPT })
  }

  function sweptBefore(): number {
    return clock.now() - keep.completed.ageMs
  }

  function untilNextRoundMs(): number {
    return ROUND_EVERY_MS * (1 + JITTER_SHARE * (2 * random() - 1))
  }

  return createLoop({ name: 'retention', firstPauseMs: untilNextRoundMs(), step, clock })
}
