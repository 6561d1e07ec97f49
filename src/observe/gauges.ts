import { Gauge, type Registry } from 'prom-client'
import { OVERDUE_AFTER_MS } from '../order/promise.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { Counts } from './minutes.ts'
import type { Vitals } from './vitals.ts'

interface GaugeRow {
  help: string
  label?: string
  read: () => Reading | Promise<Reading>
}

/** Counts: a sample for each value of the label. Undefined: no sample. */
type Reading = number | boolean | Counts | undefined

/** For this scrape, a part that answers later is down. */
const READ_WITHIN_MS = 2_000

export function registerGauges(registry: Registry, vitals: Vitals): void {
  const rows: Record<string, GaugeRow> = { ...gaugesOfParts(vitals), ...gaugesOfProcess(vitals) }
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
function gaugesOfParts(vitals: Vitals) {
  const { view, clock } = vitals
  const queue = partOf(() => Promise.all([view.counts(), view.forecast()]), clock)
  const store = partOf(() => (vitals.isStoreTried ? vitals.pingStore() : undefined), clock)
  const overdue = partOf(() => (vitals.isStoreTried ? vitals.readOverdue() : undefined), clock)
  const outbox = partOf(() => vitals.readOutbox(), clock)
  const setAside = partOf(() => vitals.readSetAside(), clock)
  return {
    queue_up: { help: '1 if Redis answered; if 0, the other figures of the queue are missing.', read: queue.isUp },
    jobs: { help: 'Jobs in the queue, by state.', label: 'state', read: queue.figure(([{ jobs }]) => jobs) },
    upcoming_checks: {
      help: 'Checks that fall due within this time from now.',
      label: 'within',
      read: queue.figure(([, { within }]) => within),
    },
    queue_paused: {
      help: '1 while the queue is paused and nothing is checked.',
      read: queue.figure(([{ isPaused }]) => isPaused),
    },
    store_up: { help: '1 if the order store answered; absent until it was first tried.', read: store.isUp },
    overdue_up: { help: '1 if the overdue orders could be read.', read: overdue.isUp },
    overdue_orders: {
      help: `Unpaid orders more than ${OVERDUE_AFTER_MS / 1_000} s past their deadline, counted up to 10,000.`,
      read: overdue.figure(({ orders }) => orders),
    },
    oldest_overdue_seconds: {
      help: 'How long ago the oldest of these orders was due; 0 if there is none.',
      read: overdue.figure(({ oldestSeconds }) => oldestSeconds),
    },
    set_aside_up: {
      help: '1 if the orders that are set aside could be read; absent if the order store has none.',
      read: setAside.isUp,
    },
    set_aside_orders: {
      help: 'Unpaid orders past their deadline that nobody cancels, counted up to 10,000: backlog from before the first start, or with an unreadable deadline.',
      label: 'why',
      read: setAside.figure(({ backlog, unreadable }) => ({ backlog: backlog.orders, unreadable: unreadable.orders })),
    },
    oldest_backlog_seconds: {
      help: 'How long ago the oldest order of the backlog was due; 0 if there is none.',
      read: setAside.figure(({ backlog: { oldest } }) => (oldest === undefined ? 0 : (clock.now() - oldest) / 1_000)),
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
function gaugesOfProcess(vitals: Vitals) {
  return {
    brake_engaged: {
      help: '1 while the mass-cancel brake holds back all cancellations.',
      read: () => vitals.brake?.engaged,
    },
    brake_unknown: {
      help: '1 while nothing is cancelled because it is not known whether the brake is engaged.',
      read: () => vitals.brakeFailure !== undefined,
    },
    worker_refused: {
      help: '1 while Redis answers, but has not let the worker fetch or finish checks for some seconds.',
      read: () => vitals.workerFailure !== undefined,
    },
    claims_wrapped: {
      help: "1 while checks are taken and ended by BullMQ's own scripts, which is slower in a burst: with CLAIMS=wrapped, or a BullMQ that is not known.",
      read: () => vitals.areClaimsWrapped,
    },
    store_breaker_open: {
      help: '1 while the order store fails and no checks are taken.',
      read: () => vitals.isBreakerOpen,
    },
    clock_offset_seconds: {
      help: "How far the clock of Redis or the order store is ahead of the process's; 0 if the difference is too small to prove.",
      label: 'of',
      read: () => clockOffsets(vitals),
    },
    dry_run: { help: '1 while nothing is cancelled because DRY_RUN is set.', read: () => vitals.dryRun },
    loop_silent_seconds: {
      help: 'How long ago each loop last made progress.',
      label: 'loop',
      read: () => Object.fromEntries(vitals.loops().map(({ name, ageMs }) => [name, ageMs / 1_000])),
    },
    build_info: { help: 'Always 1; the label is what runs.', label: 'version', read: () => ({ [vitals.version]: 1 }) },
  }
}

function clockOffsets({ clockOffsets }: Vitals): Counts {
  const known = Object.entries(clockOffsets).filter((entry): entry is [string, number] => entry[1] !== undefined)
  return Object.fromEntries(known.map(([of, ms]) => [of, ms / 1_000]))
}
