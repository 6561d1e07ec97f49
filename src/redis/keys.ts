/** Every key of a queue in Redis: BullMQ's, and ours under the hash tag `{prefix:name}`, so that a script may touch several. */
export interface QueueKeys {
  /** BullMQ's hash of a job. */
  job(jobId: string): string
  /** BullMQ's lock on a job that a worker has taken. */
  jobLock(jobId: string): string
  /** BullMQ's lists and sorted sets of job ids, by state. */
  readonly wait: string
  readonly paused: string
  readonly prioritized: string
  readonly active: string
  readonly delayed: string
  readonly completed: string
  readonly failed: string

  /** Held while the finished job of an order is replaced. */
  replacing(jobId: string): string
  /** Says that Redis still has what it had. */
  readonly canary: string
  /** Held by the process whose turn it is to drop finished checks. */
  readonly retention: string
  /** The state of the brake, its counted cancellations, and when each was granted. */
  readonly brake: string
  readonly brakeCancelled: string
  readonly brakeReserved: string
  /** What was decided in a minute, counted from 1970. */
  minute(minute: number): string

  /** Of the redis store: an order, the unpaid ones by deadline, the last payment, the events, and a write that proves it works. */
  order(orderId: string): string
  readonly unpaid: string
  readonly lastPaid: string
  readonly events: string
  readonly probe: string
  /** The beginning of all keys of ours. */
  readonly own: string
}

/** A queue by its name and prefix, with all its keys. */
export interface NamedQueue {
  readonly name: string
  readonly prefix: string
  readonly keys: QueueKeys
}

/** @param options.prefix default `bull`, as BullMQ has it */
export function namedQueue({ name, prefix = 'bull' }: { name: string; prefix?: string }): NamedQueue {
  const bullmq = `${prefix}:${name}:`
  const own = `{${prefix}:${name}}:`
  return {
    name,
    prefix,
    keys: {
      job: (jobId) => bullmq + jobId,
      jobLock: (jobId) => `${bullmq}${jobId}:lock`,
      wait: `${bullmq}wait`,
      paused: `${bullmq}paused`,
      prioritized: `${bullmq}prioritized`,
      active: `${bullmq}active`,
      delayed: `${bullmq}delayed`,
      completed: `${bullmq}completed`,
      failed: `${bullmq}failed`,
      replacing: (jobId) => `${bullmq}${jobId}:replacing`,
      canary: `${own}canary`,
      retention: `${own}retention`,
      brake: `${own}brake`,
      brakeCancelled: `${own}brake:cancelled`,
      brakeReserved: `${own}brake:reserved`,
      minute: (minute) => `${own}minute:${minute}`,
      order: (orderId) => `${own}order:${orderId}`,
      unpaid: `${own}unpaid`,
      lastPaid: `${own}last-paid`,
      events: `${own}events`,
      probe: `${own}probe`,
      own,
    },
  }
}
