interface Difference {
  what: string
  why: string
  /** A key that is not compared. */
  isKey?: (key: string) => boolean
  /** A field of a hash of which only the presence is compared. */
  isField?: (field: string) => boolean
  /** Where it is seen to that it does not show. */
  where?: 'Differential' | 'Side' | 'BullMqSide' | 'compare.ts'
}

/** All that may differ between BullMQ's Worker and claims, and why. */
export const ALLOWED: readonly Difference[] = [
  {
    what: 'the marker',
    why: 'BullMQ sets one with each job, also where nothing is left; whether others are woken in time is compared by itself',
    isKey: (key) => key === 'Q:marker',
  },
  {
    what: 'the receipt of a claim',
    why: 'BullMQ has none',
    isKey: (key) => key === 'Q:worker:claim',
  },
  {
    what: '`removeOnComplete` and `removeOnFail` of a job',
    why: 'ours keeps the evidence; so BullMQ is not told of them when it ends a job',
    where: 'BullMqSide',
  },
  {
    what: 'stack traces',
    why: 'they are those of the error, wherever it was made',
    isField: (field) => field === 'stacktrace',
  },
  {
    what: 'the order of the events of different jobs, and the ids of all events',
    why: 'many are taken and ended at once; those of one job are compared in their order',
    where: 'compare.ts',
  },
  {
    what: 'what is due and has not been taken, since fewer were wanted or the queue is limited',
    why: 'BullMQ promotes up to 1,000 when it takes one job, ours take them from the delayed ones: so all are promoted afterwards',
    where: 'Side',
  },
  {
    what: 'the order in which a claim tells of its jobs, and how many claims it takes',
    why: 'plain ones come first in an answer, and what has a priority comes with a claim of its own while others are due',
    where: 'Side',
  },
  {
    what: 'the code for a job that waits for children and whose lock is lost',
    why: 'BullMQ looks for the children first, ours at the lock; it is refused either way',
    where: 'Side',
  },
  {
    what: 'the same end again',
    why: 'BullMQ refuses it; ours has done it, and the answer was lost',
    where: 'Side',
  },
  {
    what: 'a job whose hash is lost and whose id is added again',
    why: 'it is in the queue twice: BullMQ counts two starts, ours one if both are in one claim',
    where: 'Side',
  },
  {
    what: 'the repetition of a scheduler that is due as soon as it is added',
    why: 'BullMQ adds it between two jobs, ours between two claims',
    where: 'Differential',
  },
]
