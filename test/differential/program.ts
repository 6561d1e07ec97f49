import type { JobsOptions } from 'bullmq'
import fc from 'fast-check'
import { JOB_NAME } from '../../src/queue/contract.ts'

/** Whoever ends a job has the token that it was claimed with, or another one. */
type Holder = 'own' | 'foreign'

export type Step =
  | {
      kind: 'add'
      id: string | undefined
      name: string
      delay: number
      priority: number
      lifo: boolean
      attempts: number
      keepLogs: number | undefined
      deduplication: Deduplication | undefined
      ends: Ends
    }
  | { kind: 'add flow'; parent: string; children: string[]; isElsewhere: boolean; onFailure: OnFailure }
  | { kind: 'schedule'; name: string }
  | { kind: 'unschedule' }
  | { kind: 'pass'; ms: number }
  /** Until the next repetition of a scheduler, which both sides must have taken before the one after that is due. */
  | { kind: 'pass an hour' }
  | { kind: 'take'; most: number }
  | { kind: 'complete'; which: number; holder: Holder; isTwice: boolean }
  | { kind: 'fail'; which: number; holder: Holder }
  | {
      kind: 'put back'
      which: number
      holder: Holder
      delay: number
      priority: number
      hasFailed: boolean
      isTwice: boolean
    }
  | { kind: 'lose locks'; which: number }
  | { kind: 'look for stalled jobs' }
  | { kind: 'promote' | 'remove' | 'retry' | 'lose hash' | 'break data'; id: string }
  | { kind: 'change delay'; id: string; delay: number }
  | { kind: 'change priority'; id: string; priority: number; lifo: boolean }
  | { kind: 'change data'; id: string }
  | { kind: 'pause' | 'resume' | 'drain' }
  | { kind: 'limit concurrency'; to: number | undefined }
  | { kind: 'limit rate'; to: number | undefined }
  | { kind: 'rate limit is over' }

type Deduplication = {
  id: string
  ttl?: number
  extend?: boolean
  replace?: boolean
  keepLastIfActive?: boolean
}
/** What a producer may say of when a job is tried again, and whether it is kept. */
type Ends = Pick<JobsOptions, 'backoff' | 'removeOnComplete' | 'removeOnFail'>
type OnFailure =
  | 'failParentOnFailure'
  | 'continueParentOnFailure'
  | 'ignoreDependencyOnFailure'
  | 'removeDependencyOnFailure'
  | undefined

/** More than any program adds. */
export const ALL = 1_000
/** The duration of a rate limit is that of a real minute, which no program lives to see. */
export const LIMIT_MS = 60_000
export const HOUR_MS = 3_600_000

/** Few of them, so that one is met again in another state. */
const custom = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
const id = fc.oneof({ weight: 4, arbitrary: custom }, fc.constantFrom('1', '2', '3'))
const name = fc.constantFrom(JOB_NAME, JOB_NAME, JOB_NAME, 'foreign')
/** Times meet: what is due at the same moment, now, and a millisecond later. */
const delay = fc.constantFrom(0, 0, 1, 2, 3, 50, 1_000, 4_096)
const priority = fc.constantFrom(0, 0, 0, 1, 2, 2_097_151)
const which = fc.integer({ min: 1, max: 2 ** 10 - 1 })
const holder = fc.constantFrom<Holder>('own', 'own', 'own', 'own', 'foreign')
const kind = <K extends string>(...names: K[]) => fc.constantFrom(...names)
const rarely = fc.constantFrom(false, false, false, true)

const deduplication: fc.Arbitrary<Deduplication> = fc.constantFrom<Deduplication>(
  { id: 'same' },
  { id: 'same', ttl: 60_000 },
  { id: 'same', ttl: 60_000, extend: true, replace: true },
  { id: 'same', keepLastIfActive: true },
)

const ends: fc.Arbitrary<Ends> = fc.constantFrom<Ends>(
  { backoff: 1_000 },
  { backoff: { type: 'exponential', delay: 50, jitter: 0.5 } },
  { removeOnComplete: true, removeOnFail: true },
  { removeOnComplete: 1, removeOnFail: { age: 1, count: 1 } },
)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      kind: kind('add'),
      id: fc.option(custom, { freq: 4, nil: undefined }),
      name,
      delay,
      priority,
      lifo: rarely,
      attempts: fc.constantFrom(0, 0, 1, 3),
      keepLogs: fc.constantFrom(undefined, undefined, 2),
      deduplication: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, deduplication),
      ends: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, ends),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('add flow'),
      parent: custom,
      children: fc.array(custom, { minLength: 1, maxLength: 2 }),
      isElsewhere: rarely,
      onFailure: fc.constantFrom<OnFailure>(
        ...([undefined, 'failParentOnFailure', 'continueParentOnFailure'] as const),
        ...(['ignoreDependencyOnFailure', 'removeDependencyOnFailure'] as const),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('schedule'), name }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('unschedule') }) },
  { weight: 6, arbitrary: fc.record({ kind: kind('pass'), ms: fc.constantFrom(1, 1, 2, 3, 49, 1_000, 5_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('pass an hour') }) },
  { weight: 12, arbitrary: fc.record({ kind: kind('take'), most: fc.constantFrom(ALL, ALL, ALL, 1, 2, 3) }) },
  { weight: 7, arbitrary: fc.record({ kind: kind('complete'), which, holder, isTwice: rarely }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('fail'), which, holder }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind('put back'),
      which,
      holder,
      delay,
      priority,
      hasFailed: rarely,
      isTwice: rarely,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('lose locks'), which }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('look for stalled jobs') }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('promote', 'remove', 'retry', 'lose hash', 'break data'), id }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('change delay'), id, delay }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('change priority'), id, priority, lifo: rarely }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('change data'), id }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('pause', 'resume', 'resume', 'drain') }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('limit concurrency'), to: fc.constantFrom(1, 2, 3, undefined) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('limit rate'), to: fc.constantFrom(1, 2, 4, undefined) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('rate limit is over') }) },
)

export const program: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 4, maxLength: 40, size: 'max' })
