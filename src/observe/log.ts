import { type Logger, type LoggerOptions, pino } from 'pino'
import type { Clock } from '../runtime/clock.ts'
import { errorCode } from './error-code.ts'
import type { EventBus, Events } from './events.ts'
import { createRedactor } from './redact.ts'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** How often at most the same trouble is logged. */
const QUIET_MS = 5_000
/** Lines within any second at most of what is logged because it does not go well, of all kinds together. */
const TROUBLES_PER_SECOND = 6
/** Lines in a second at most of what is logged because it goes well; the rest is summed up. */
const LINES_PER_SECOND = 2

/**
 * A pino logger of JSON lines on standard output, or readable ones where a person is looking and pino-pretty is there.
 *
 * @param options.secrets what must not be in any line, whoever worded it: the text of an error is often another program's
 */
export function createLogger(options: {
  level: LogLevel
  pretty: boolean
  secrets: readonly string[]
  stdout: NodeJS.WritableStream
}): Logger {
  const { level, pretty, secrets, stdout } = options
  const redactor = createRedactor({ secrets })
  const settings: LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: (error) => error }, // it is none any more
    hooks: {
      logMethod(given, method) {
        // An error alone is its own message, as pino has it.
        const [first, ...rest] = given as unknown[]
        const args = first instanceof Error && rest.length === 0 ? [{ err: first }, first.message] : given
        method.apply(this, args.map((arg) => redactor.value(arg)) as Parameters<typeof method>)
      },
    },
    ...(!pretty && { formatters: { level: (label: string) => ({ level: label }) } }),
  }
  if (!pretty) return pino(settings, stdout) // pino's own stream blocks for ever in fatal() once its reader has gone
  const look = { translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }
  return pino(settings, pino.transport({ target: 'pino-pretty', options: look }))
}

/** What sweep after sweep leaves has been overdue for longer than this; a single sweep may meet a lock. */
const LEFT_MS = 120_000
/** Why all orders are left at once; that is said where it begins. */
const LEFT_ON_PURPOSE: readonly string[] = ['brake', 'dry-run']

/** Words every event as a log line. The only place where the daemon's log lines are written. */
export function logEvents(options: { events: EventBus; logger: Logger; clock: Clock }): void {
  const { events, logger, clock } = options
  const isAllowed = limitPerSecond(TROUBLES_PER_SECOND, clock)
  const trouble = throttle({ clock, isAllowed, log: (fields, message) => logger.warn(fields, message) })
  const failure = throttle({ clock, isAllowed, log: (fields, message) => logger.error(fields, message) })
  const batches = ration({
    clock,
    everyMs: 1_000,
    log: (batch: Batch) => logger.info(batch, 'batch settled'),
    logRest: (rest) => logger.info({ batches: rest.length, ...sumOf(rest) }, 'more batches settled'),
  })
  const wouldCancel = ration({
    clock,
    everyMs: QUIET_MS,
    log: (e: Events['would-cancel']) => logger.info(e, 'dry run: this order would be cancelled'),
    logRest: (rest) => logger.info({ orders: rest.length }, 'dry run: so many more orders would be cancelled'),
  })

  events.on('service-started', (e) => logger.info(e, `${e.service} started`))
  events.on('waiting-for', ({ service, error, waitMs }) =>
    trouble(
      `waiting ${service} ${error.code}`,
      { service, waitMs, code: error.code },
      `waiting for ${service}: ${error.message}`,
    ),
  )
  events.on('ready', (e) => logger.info(e, 'ready'))
  events.on('stopping', (e) => logger.info(e, `stopping: ${e.reason}`))
  events.on('stopped', ({ errors }) => {
    for (const error of errors) logger.error({ code: error.code }, error.message)
    batches.flush()
    wouldCancel.flush()
    logger.info('stopped')
  })
  events.on('check-finished', (e) => {
    const isTold = e.outcome === 'missing' && trouble('missing', e, 'the order of this check does not exist')
    if (!isTold) logger.debug(e, `order ${e.outcome}`)
  })
  events.on('check-postponed', (e) => logger.debug(e, 'check postponed'))
  events.on('check-retried', ({ error, ...e }) =>
    trouble(
      `retried ${error.code}`,
      { ...e, code: error.code },
      `check failed and will be tried again: ${error.message}`,
    ),
  )
  events.on('check-given-up', ({ error, ...e }) =>
    failure(`given-up ${error.code}`, { ...e, code: error.code }, `check given up: ${error.message}`),
  )
  events.on('batch-settled', (e) => {
    const { error, ...batch } = e
    batches.look()
    // A sweep says itself what it has left.
    if (error && batch.by === 'worker')
      trouble(`batch ${error.code}`, { ...batch, code: error.code }, `batch failed, in part or whole: ${error.message}`)
    else if (batch.outcomes.cancelled) batches.add(batch)
    else logger.debug(batch, 'batch settled')
  })
  events.on('order-swept', ({ outcome, ...e }) => logger.debug({ ...e, outcome, by: 'sweep' }, `order ${outcome}`))
  events.on('would-cancel', (e) => wouldCancel.add(e))
  events.on('dry-run-full', (e) =>
    logger.warn(
      e,
      'dry run: so many orders were reported, and no more will be: `order-expiry sweep --dry-run` lists all',
    ),
  )
  events.on('sweep-finished', ({ error, failed, left, ...e }) => {
    batches.look()
    wouldCancel.look()
    const { oldest, orders } = left ?? {}
    if (oldest && isNews(oldest) && oldest.orderId !== failed?.orderId) {
      trouble(
        `left ${oldest.why}`,
        { ...oldest, orders },
        `sweep after sweep leaves overdue orders unpaid, the oldest of them is this one: ${oldest.why}`,
      )
    }
    if (error)
      trouble(`sweep ${error.code}`, { ...e, code: error.code }, `sweep left something undone: ${error.message}`)
    else if (failed) {
      const { orderId, error: why } = failed
      const message = `sweep could not settle ${e.outcomes.failed} overdue orders, such as this one: ${why.message}`
      trouble(`sweep failed ${why.code}`, { ...e, orderId, code: why.code }, message)
    } else if (e.outcomes.cancelled || e.added || e.handedOver)
      logger.info(e, 'sweep found orders that had been missed')
    else logger.debug(e, 'sweep finished')
  })
  events.on('store-breaker-opened', ({ error }) =>
    trouble(
      'breaker opened',
      { code: error.code },
      `the order store does not work; no checks are taken until it does: ${error.message}`,
    ),
  )
  events.on('store-breaker-closed', () => trouble('breaker closed', {}, 'the order store answers again; going on'))
  events.on('store-notice', ({ notice }) => logger.warn(notice))
  events.on('brake-changed', (e) => {
    if (!e.engaged) logger.warn(e, 'the brake is released: orders are cancelled again')
    else {
      logger.error(
        e,
        `the brake is engaged (${e.reason}): no order is cancelled until somebody runs \`order-expiry brake release\``,
      )
    }
  })
  events.on('brake-held', (e) =>
    failure('brake held', e, 'the brake holds back orders that would be cancelled: see `order-expiry brake status`'),
  )
  events.on('operator-acted', (e) => logger.warn(e, `${e.by} on the board: ${e.action}`))
  events.on('redis-emptied', () => logger.error('Redis has lost its data: giving unpaid orders their checks back'))
  events.on('request-finished', ({ error, ...e }) => {
    const fields = { ...e, ...(error && { code: error.code }) }
    if (e.status >= 500 && error) {
      trouble(`request ${error.code}`, fields, `${e.method} ${e.route} failed: ${error.message}`)
    } else logger.debug(fields, `${e.method} ${e.route} ${e.status}`)
  })
  events.on('worker-error', ({ error }) =>
    trouble(`worker ${errorCode(error)}`, { code: errorCode(error) }, `worker: ${describe(error)}`),
  )
  events.on('redis-error', ({ connection, error }) =>
    trouble(`redis ${errorCode(error)}`, { connection, code: errorCode(error) }, `Redis: ${describe(error)}`),
  )
  events.on('store-error', ({ error }) =>
    trouble(`store ${errorCode(error)}`, { code: errorCode(error) }, `order store: ${describe(error)}`),
  )
  events.on('traces-error', ({ error }) =>
    trouble(`traces ${errorCode(error)}`, { code: errorCode(error) }, `traces: ${describe(error)}`),
  )
  events.on('embedded-redis-exited', (e) =>
    logger.error(e, 'the embedded Redis has ended by itself; starting it again'),
  )
}

function isNews({ lateMs, why }: { lateMs: number; why: string }): boolean {
  return lateMs > LEFT_MS && !LEFT_ON_PURPOSE.includes(why)
}

/** Says yes at most `count` times within any second. */
function limitPerSecond(count: number, clock: Clock): () => boolean {
  const times: number[] = []
  return () => {
    const now = clock.monotonic()
    if (times.length === count && now - (times[0] as number) < 1_000) return false
    times.push(now)
    if (times.length > count) times.shift()
    return true
  }
}

/**
 * The same trouble (by `key`) at most once in {@link QUIET_MS}, with the number of times it was left out; and only if it is
 * allowed, else the next time. Says whether it was logged.
 */
function throttle(options: { clock: Clock; isAllowed: () => boolean; log: (fields: object, message: string) => void }) {
  const { clock, isAllowed, log } = options
  const seen = new Map<string, { at: number; left: number }>()
  return (key: string, fields: object, message: string): boolean => {
    const { at, left } = seen.get(key) ?? { at: Number.NEGATIVE_INFINITY, left: 0 }
    if (seen.size > 1_000) seen.clear()
    if (clock.monotonic() - at < QUIET_MS || !isAllowed()) {
      seen.set(key, { at, left: left + 1 })
      return false
    }
    seen.set(key, { at: clock.monotonic(), left: 0 })
    log({ ...fields, ...(left && { alsoLeftOut: left }) }, message)
    return true
  }
}

type Batch = Omit<Events['batch-settled'], 'error'>

function sumOf(batches: readonly Batch[]): Pick<Batch, 'checks' | 'outcomes'> {
  const outcomes: Record<string, number> = {}
  let checks = 0
  for (const batch of batches) {
    checks += batch.checks
    for (const [outcome, count] of Object.entries(batch.outcomes)) outcomes[outcome] = (outcomes[outcome] ?? 0) + count
  }
  return { checks, outcomes }
}

/**
 * Logs {@link LINES_PER_SECOND} items in a second, and every `everyMs` the rest in one line. It has no timer: the rest is
 * logged with what comes next, by `look` or at the end by `flush`.
 */
function ration<Item>(options: {
  clock: Clock
  everyMs: number
  log: (item: Item) => void
  logRest: (rest: readonly Item[]) => void
}) {
  const { clock, everyMs, log, logRest } = options
  let second = { since: Number.NEGATIVE_INFINITY, lines: 0 }
  let rest: Item[] = []
  let restSince = 0

  function flush(): void {
    if (rest.length > 0) logRest(rest)
    rest = []
  }

  function look(): void {
    if (clock.monotonic() - restSince >= everyMs) flush()
  }

  return {
    flush,
    look,
    add(item: Item): void {
      look()
      const now = clock.monotonic()
      if (now - second.since >= 1_000) second = { since: now, lines: 0 }
      if (second.lines++ < LINES_PER_SECOND) {
        log(item)
        return
      }
      if (rest.length === 0) restSince = now
      rest.push(item)
    },
  }
}

/** Node wraps the refusals of several addresses of one name into an AggregateError without a message. */
function describe(error: Error): string {
  return error.message || errorCode(error)
}
