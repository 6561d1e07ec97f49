import { Gauge, type Registry } from 'prom-client'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'

/** What the gauges read when they are scraped. Undefined: there is nothing to read, or not yet. */
export interface GaugeSources {
  brakeEngaged: () => boolean | undefined
  storeBreakerOpen: () => boolean
  dryRun: boolean
  version: string
  /** The loops, and for how many milliseconds each has been silent; empty while none should run. */
  loops: () => readonly { name: string; ageMs: number }[]
  /** Jobs by BullMQ's state; checks to come by how soon, such as `5m`. Rejects while Redis is away. */
  readQueue: () => Promise<{ jobs: Counts; isPaused: boolean; upcoming: Counts }>
  /** Rejects while the order store is away. */
  pingStore: () => Promise<unknown> | undefined
  readOverdue: () => Promise<{ orders: number; oldestSeconds: number }> | undefined
  readOutbox: () => Promise<{ events: number; oldestAgeMs: number | undefined }> | undefined
}

interface GaugeRow {
  help: string
  label?: string
  read: () => Reading | Promise<Reading>
}

/** Counts: a sample for each value of the label. Undefined: no sample. */
type Reading = number | boolean | Counts | undefined
type Counts = Readonly<Record<string, number>>

/** For this scrape, a part that answers later is down. */
const READ_WITHIN_MS = 2_000

export function registerGauges(options: { registry: Registry; sources: GaugeSources; clock: Clock }): void {
  const { registry, sources, clock } = options
  const rows: Record<string, GaugeRow> = { ...gaugesOfParts(sources, clock), ...gaugesOfProcess(sources) }
  for (const [name, { help, label, read }] of Object.entries(rows)) {
    new Gauge({
      name: `order_expiry_${name}`,
      help,
      labelNames: label ? [label] : [],
      registers: [registry],
      async collect() {
        const reading = await read()
        if (label) {
          this.reset()
          for (const [value, count] of Object.entries(reading ?? {})) this.set({ [label]: value }, count)
        } else if (reading !== undefined) this.set(Number(reading))
        else this.remove() // reset() would say 0
      },
    })
  }
}

/** A part that does not answer has no figures, and its `_up` is 0. */
function gaugesOfParts(sources: GaugeSources, clock: Clock) {
  const queue = partOf(sources.readQueue, clock)
  const store = partOf(() => sources.pingStore()?.then(() => true), clock)
  const overdue = partOf(sources.readOverdue, clock)
  const outbox = partOf(sources.readOutbox, clock)
  return {
    queue_up: { help: '1 if Redis answered; if 0, the other figures of the queue are missing.', read: queue.isUp },
    jobs: { help: 'Jobs in the queue, by state.', label: 'state', read: queue.figure(({ jobs }) => jobs) },
    upcoming_checks: {
      help: 'Checks that fall due within this time from now.',
      label: 'within',
      read: queue.figure(({ upcoming }) => upcoming),
    },
    queue_paused: {
      help: '1 while the queue is paused and nothing is checked.',
      read: queue.figure(({ isPaused }) => isPaused),
    },
    store_up: { help: '1 if the order store answered; absent until it was first tried.', read: store.isUp },
    overdue_up: { help: '1 if the order store has said, just now, what is overdue.', read: overdue.isUp },
    overdue_orders: {
      help: 'Unpaid orders more than 10 s past their deadline, counted up to 10,000.',
      read: overdue.figure(({ orders }) => orders),
    },
    oldest_overdue_seconds: {
      help: 'How long ago the oldest of these orders was due; 0 if there is none.',
      read: overdue.figure(({ oldestSeconds }) => oldestSeconds),
    },
    outbox_up: { help: '1 if the outbox could be read; absent if the order store keeps none.', read: outbox.isUp },
    outbox_events: {
      help: 'Events in the outbox that nobody has taken, counted up to 10,000.',
      read: outbox.figure(({ events }) => events),
    },
    outbox_oldest_seconds: {
      help: 'How long the oldest of these events has waited; 0 if there is none.',
      read: outbox.figure(({ oldestAgeMs }) => (oldestAgeMs ?? 0) / 1_000),
    },
  }
}

/** The gauges of one scrape are collected at once, and share what was read. */
function partOf<Figures>(read: () => Promise<Figures> | undefined, clock: Clock) {
  let reading: Promise<{ isUp?: boolean; figures?: Figures }> | undefined
  function find() {
    reading ??= readInTime().finally(() => {
      reading = undefined
    })
    return reading
  }
  async function readInTime() {
    const work = read()
    if (!work) return {} // there is no such part
    try {
      return { isUp: true, figures: await withTimeout({ work, ms: READ_WITHIN_MS, clock }) }
    } catch {
      return { isUp: false }
    }
  }

  return {
    isUp: async () => (await find()).isUp,
    figure: (pick: (figures: Figures) => Reading) => async () => {
      const { figures } = await find()
      return figures && pick(figures)
    },
  }
}

/** What this process knows without asking. */
function gaugesOfProcess(sources: GaugeSources) {
  const { brakeEngaged, storeBreakerOpen, dryRun, version, loops } = sources
  return {
    brake_engaged: { help: '1 while the mass-cancel brake holds back all cancellations.', read: brakeEngaged },
    store_breaker_open: { help: '1 while the order store fails and no checks are taken.', read: storeBreakerOpen },
    dry_run: { help: '1 while nothing is cancelled because DRY_RUN is set.', read: () => dryRun },
    loop_silent_seconds: {
      help: 'How long ago each loop last made progress.',
      label: 'loop',
      read: () => Object.fromEntries(loops().map(({ name, ageMs }) => [name, ageMs / 1_000])),
    },
    build_info: { help: 'Always 1; the label is what runs.', label: 'version', read: () => ({ [version]: 1 }) },
  }
}
