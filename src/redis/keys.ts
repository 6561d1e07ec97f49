/** A queue by its name and prefix, with all its keys. */
export interface NamedQueue {
  readonly name: string
  readonly prefix: string
  readonly keys: QueueKeys
}

export type QueueKeys = Readonly<ReturnType<typeof keysOf>>

/** @param options.prefix default `bull`, as BullMQ has it */
export function namedQueue({ name, prefix = 'bull' }: { name: string; prefix?: string }): NamedQueue {
  return { name, prefix, keys: keysOf({ name, prefix }) }
}

/** Every key of a queue in Redis: BullMQ's, and ours under the hash tag `{prefix:name}`, so that a script may touch several. */
function keysOf({ name, prefix }: { name: string; prefix: string }) {
  const bullmq = `${prefix}:${name}:`
  const own = `{${prefix}:${name}}:`
  return {
    /** BullMQ's hash of a job, and its lock on one that a worker has taken. */
    job: (jobId: string) => `${bullmq}${jobId}`,
    jobLock: (jobId: string) => `${bullmq}${jobId}:lock`,
    /** BullMQ's lists and sorted sets of job ids, by state. */
    wait: `${bullmq}wait`,
    paused: `${bullmq}paused`,
    prioritized: `${bullmq}prioritized`,
    active: `${bullmq}active`,
    delayed: `${bullmq}delayed`,
    completed: `${bullmq}completed`,
    failed: `${bullmq}failed`,
    /** BullMQ's sorted set that a sleeping worker waits at: whatever is put there wakes one of them. */
    marker: `${bullmq}marker`,
    /** What BullMQ knows of the queue itself: its settings, its events, the active jobs that may have been left behind, counters. */
    meta: `${bullmq}meta`,
    stream: `${bullmq}events`,
    stalled: `${bullmq}stalled`,
    stalledCheck: `${bullmq}stalled-check`,
    repeat: `${bullmq}repeat`,
    pc: `${bullmq}pc`,
    id: `${bullmq}id`,
    limiter: `${bullmq}limiter`,
    /** The last claim of a worker that was carried out: it may arrive again, and its answer may be lost. */
    receipt: (workerId: string) => `${bullmq}${workerId}:claim`,
    /** Held while the finished job of an order is replaced. */
    replacing: (jobId: string) => `${bullmq}${jobId}:replacing`,
    /** Says that Redis still has what it had. */
    canary: `${own}canary`,
    /** Held by the process whose turn it is to drop finished checks. */
    retention: `${own}retention`,
    /** The state of the brake, its counted cancellations, and when each was granted. */
    brake: `${own}brake`,
    brakeCancelled: `${own}brake:cancelled`,
    brakeReserved: `${own}brake:reserved`,
    /** Processes whose clock differs from that of Redis or the order store, and by how much. */
    clocks: `${own}clocks`,
    /** What sweeps did with orders: a hash of lines by order id, and those ids by when. */
    swept: `${own}swept`,
    sweptAt: `${own}swept:at`,
    /** The jobs of orders that have another id than ours: a hash of lines by order id. */
    foreignJobs: `${own}jobs`,
    /** Which time it is that a job is given up, while it is. */
    givingUp: (jobId: string) => `${own}giving-up:${jobId}`,
    /** Who delivers which share of the events to a sink. */
    shares: (sink: string) => `${own}shares:${sink}`,
    /** The processes that run, and what each tells of itself. */
    processes: `${own}processes`,
    /** What was decided in a minute, counted from 1970. */
    minute: (minute: number) => `${own}minute:${minute}`,

    /** Of the redis store: an order, the unpaid ones by deadline, the last payment, the events, a write that proves it works. */
    order: (orderId: string) => `${own}order:${orderId}`,
    unpaid: `${own}unpaid`,
    lastPaid: `${own}last-paid`,
    events: `${own}events`,
    /** The events that are still to be delivered, and what is known of the attempts. */
    undelivered: `${own}undelivered`,
    attempts: `${own}undelivered:attempts`,
    /** The ids of events that were put in for themselves, by when. */
    added: `${own}undelivered:added`,
    /** There while somebody delivers them, so that a shop's payment, too, knows whether its event is to be delivered. */
    delivers: `${own}delivers`,
    /** The cancelled orders of which a payment was told, until a sweep has counted them. */
    paidLate: `${own}paid-late`,
    /** When it is the turn of each order whose payment waits to be closed, and from when on nobody has one. */
    closings: `${own}closings`,
    closingsNext: `${own}closings:next`,
    probe: `${own}probe`,
    /** The beginning of all keys of ours. */
    own,
  }
}
