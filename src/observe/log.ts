import { type Logger, type LoggerOptions, pino } from 'pino'
import { LATE_AFTER_MS, OVERDUE_AFTER_MS } from '../order/promise.ts'
import { describeSetAside } from '../order/set-aside.ts'
import type { Clock } from '../runtime/clock.ts'
import { clockDifference, count } from '../runtime/human-numbers.ts'
import { visibleLine, visibleLines } from '../runtime/visible.ts'
import { type EventBus, type EventName, type Events, errorCode } from './events.ts'
import { type LogTrouble, limitPerSecond, type Ration, ration, type Tally, tally, throttle } from './log-quietly.ts'
import { createRedactor } from './redact.ts'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/**
 * Writes lines without secrets, and without anything that a terminal obeys or does not show, whatever their source: JSON on
 * `stdout`, or readable lines on a terminal.
 */
export function createLogger(options: {
  level: LogLevel
  pretty: boolean
  secrets: readonly string[]
  stdout: NodeJS.WritableStream
}): Logger {
  const { level, pretty, secrets, stdout } = options
  // pino-pretty reads the JSON, and would write what its escapes mean.
  const redactor = createRedactor({ secrets, ...(pretty && { show: visibleLines }) })
  const settings: LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: (error) => error }, // the redactor has made it a plain object
    hooks: {
      logMethod(given, method) {
        const [first, ...rest] = given as unknown[]
        // As pino does it: an error alone is its own message.
        const args = first instanceof Error && rest.length === 0 ? [{ err: first }, first.message] : given
        method.apply(this, args.map((arg) => redactor.value(arg)) as Parameters<typeof method>)
      },
    },
    ...(!pretty && { formatters: { level: (label: string) => ({ level: label }) } }),
  }
  // Not pino's own stream, which blocks for ever in fatal() once its reader has gone.
  if (!pretty) return pino(settings, { write: (line) => void stdout.write(`${visibleLine(line.trimEnd())}\n`) })
  const look = { translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }
  return pino(settings, pino.transport({ target: 'pino-pretty', options: look }))
}

/** Of all kinds together. */
const TROUBLES_PER_SECOND = 6
const BATCHES_EVERY_MS = 1_000
const DRY_RUN_EVERY_MS = 5_000
const WRONG_CREDENTIALS_EVERY_MS = 5_000
/** Of those that a sweep has found. */
const PAID_LATE_NAMED = 20
/** Reasons that leave all orders unpaid at once: they are logged where they begin. */
const LEFT_ON_PURPOSE: readonly string[] = ['brake', 'dry-run']
const STAYS_LOCKED = 'an overdue order stays unpaid: another transaction has locked its row; it is looked at again'

interface Log {
  logger: Logger
  trouble: LogTrouble
  failure: LogTrouble
  batches: Ration<Batch>
  wouldCancel: Ration<Events['would-cancel']>
  wrongCredentials: Tally<Events['wrong-credentials']>
}

type Batch = Omit<Events['batch-settled'], 'error'>

/** Logs every event. The daemon's log lines are worded only here. */
export function logEvents({ events, logger, clock }: { events: EventBus; logger: Logger; clock: Clock }): void {
  const isAllowed = limitPerSecond(TROUBLES_PER_SECOND, clock)
  const log: Log = {
    logger,
    trouble: throttle({ clock, isAllowed, log: logger.warn.bind(logger) }),
    failure: throttle({ clock, isAllowed, log: logger.error.bind(logger) }),
    batches: ration({
      clock,
      everyMs: BATCHES_EVERY_MS,
      log: (batch) => logger.info(batch, 'batch settled'),
      logRest: (rest) => logger.info({ batches: rest.length, ...sumOf(rest) }, 'more batches settled'),
    }),
    wouldCancel: ration({
      clock,
      everyMs: DRY_RUN_EVERY_MS,
      log: (e) => logger.info(e, 'dry run: this order would be cancelled'),
      logRest: (rest) => logger.info({ orders: rest.length }, 'dry run: more orders would be cancelled'),
    }),
    wrongCredentials: tally({ clock, everyMs: WRONG_CREDENTIALS_EVERY_MS, log: logWrongCredentials(logger) }),
  }
  for (const [name, write] of Object.entries(LINES) as [EventName, (event: unknown, log: Log) => unknown][]) {
    events.on(name, (event) => write(event, log))
  }
}

function sumOf(batches: readonly Batch[]): Pick<Batch, 'checks' | 'outcomes'> {
  const outcomes: Record<string, number> = {}
  for (const batch of batches) {
    for (const [outcome, count] of Object.entries(batch.outcomes)) outcomes[outcome] = (outcomes[outcome] ?? 0) + count
  }
  return { checks: batches.reduce((sum, { checks }) => sum + checks, 0), outcomes }
}

const OWNER = { redis: 'Redis', store: 'the order store' } as const

/** How each event is logged. */
const LINES: { readonly [Name in EventName]: (event: Events[Name], log: Log) => unknown } = {
  'service-started': (e, { logger }) => logger.info(e, `${e.service} started`),
  'waiting-for': (e, { trouble }) => trouble(...because(`waiting ${e.service}`, e, `waiting for ${e.service}`)),
  ready: (e, { logger }) => logger.info(e, 'ready'),
  stopping: (e, { logger }) => logger.info(e, `stopping: ${e.reason}`),
  stopped: ({ errors }, { logger, batches, wouldCancel, wrongCredentials }) => {
    for (const error of errors) logger.error({ code: error.code }, error.message)
    batches.flush()
    wouldCancel.flush()
    wrongCredentials.flush()
    logger.info('stopped')
  },

  'checks-finished': ({ checks }, { logger, trouble }) => {
    const isDebugging = logger.isLevelEnabled('debug')
    for (const e of checks) {
      const isTold = e.outcome === 'missing' && trouble('missing', e, 'the order of this check does not exist')
      if (isDebugging && !isTold) logger.debug(e, `order ${e.outcome}`)
    }
  },
  'check-postponed': (e, { logger, trouble }) => {
    const isTold = e.why === 'locked' && (e.lateMs ?? 0) > OVERDUE_AFTER_MS && trouble('locked', e, STAYS_LOCKED)
    if (!isTold) logger.debug(e, 'check postponed')
  },
  'check-retried': (e, { trouble }) => trouble(...because('retried', e, 'check failed and will be tried again')),
  'check-given-up': (e, { failure }) => failure(...because('given-up', e, 'check given up')),
  'batch-settled': ({ error, ...batch }, { logger, trouble, batches }) => {
    batches.look()
    const isOfWorker = batch.by === 'worker' // a sweep reports its failures when it has finished
    if (error && isOfWorker) trouble(...because('batch', { ...batch, error }, 'batch failed in whole or in part'))
    else if (batch.outcomes.cancelled) batches.add(batch)
    else logger.debug(batch, 'batch settled')
  },
  'would-cancel': (e, { wouldCancel }) => wouldCancel.add(e),
  'dry-run-full': (e, { logger }) =>
    logger.warn(e, 'dry run: no more orders are reported one by one; `order-expiry sweep --dry-run` lists them all'),

  'order-swept': (e, { logger }) => logger.debug({ ...e, by: 'sweep' }, `order ${e.outcome}`),
  'sweep-finished': (e, log) => {
    log.batches.look()
    log.wouldCancel.look()
    logLeftOverdue(e, log)
    logSweep(e, log)
  },
  'orders-set-aside': logSetAside,
  'orders-paid-late': logPaidLate,

  'store-breaker-opened': ({ error: { code, message } }, { trouble }) =>
    trouble('breaker opened', { code }, `the order store fails; no checks are taken until it recovers: ${message}`),
  'store-breaker-closed': (_, { trouble }) =>
    trouble('breaker closed', {}, 'the order store answers again; checks resume'),
  'store-notice': ({ notice }, { logger }) => logger.warn(notice),
  'brake-changed': (e, { logger }) => {
    if (!e.engaged) return logger.warn(e, 'the brake is released: orders are cancelled again')
    const until = 'until somebody runs `order-expiry brake release`'
    logger.error(e, `the brake is engaged (${e.reason}): no order is cancelled ${until}`)
  },
  'brake-unknown': (e, { failure }) =>
    failure(...because('brake', e, 'no order is cancelled, because it is not known whether the brake is engaged')),
  'brake-known': (e, { trouble }) =>
    trouble('brake known', e, `the state of the brake is known again: ${e.engaged ? 'engaged' : 'released'}`),
  'brake-held': (e, { failure }) =>
    failure('brake held', e, 'the brake holds back orders that would be cancelled: see `order-expiry brake status`'),

  'payment-answered': ({ orderId, payment, verdict, tookMs }, { logger, trouble }) => {
    const told = { orderId, payment: payment.reference, verdict: verdict.kind, detail: verdict.detail, tookMs }
    const isFound = verdict.kind === 'paid' || verdict.kind === 'authorised'
    if (isFound)
      logger.warn(told, `the payment of order ${orderId} is ${verdict.kind} at its provider, its row is unpaid`)
    else if (verdict.kind === 'unknown')
      trouble(`payment unknown ${verdict.detail}`, told, 'a payment could not be closed')
    else logger.debug(told, 'payment answered')
  },

  'event-delivered': (e, { logger }) => logger.isLevelEnabled('debug') && logger.debug(e, `${e.type} delivered`),
  'event-failed': (e, { trouble, failure }) => {
    const of = e.orderId && ` of order ${e.orderId}`
    const what = `${e.sink}: ${e.type}${of} was not delivered: ${e.why}`
    if (e.retryInMs === undefined) failure('event given up', e, `${what}; it is given up`)
    else trouble(`event failed ${e.sink} ${e.why}`, e, `${what}; it is sent again later`)
  },
  'sink-gone': (e, { failure }) =>
    failure(`sink gone ${e.sink}`, e, `${e.sink}: ${e.why}; no more events are sent there until the next start`),
  'relay-failed': (e, { trouble }) => trouble(...because(`relay ${e.sink}`, e, `relay of events to ${e.sink}`)),
  'operator-acted': (e, { logger }) => logger.warn(e, `${e.by} on the board: ${e.action}`),
  'orders-changed': (e, { logger }) => {
    const what = 'orders' in e ? `a batch of ${e.orders} orders` : `order ${e.orderId} ${e.result}`
    logger.info(e, `${e.by} over the API: ${what}`)
  },
  'wrong-credentials': (e, { wrongCredentials }) => wrongCredentials.add(e),
  'metrics-closed': (_, { logger }) =>
    logger.warn('/metrics is closed to other machines and proxies: set METRICS_TOKEN, to a token or to open'),
  'request-finished': ({ error, ...e }, { logger, trouble, wrongCredentials }) => {
    wrongCredentials.look()
    const { method, route, status } = e
    if (error && status >= 500) trouble(...because('request', { ...e, error }, `${method} ${route} failed`))
    else logger.debug({ ...e, ...(error && { code: error.code }) }, `${method} ${route} ${status}`)
  },

  'redis-emptied': (_, { logger }) => logger.error('Redis has lost its data: giving unpaid orders their checks back'),
  'clock-differs': (e, { trouble }) => {
    const how = `${clockDifference(Math.abs(e.offsetMs))} ${e.offsetMs < 0 ? 'behind' : 'ahead of'} ours`
    trouble(`clock of ${e.of} differs`, e, `the clock of ${OWNER[e.of]} is ${how}: set both by NTP`)
  },
  'clock-agrees': (e, { trouble }) =>
    trouble(`clock of ${e.of} agrees`, e, `the clock of ${OWNER[e.of]} agrees with ours again`),
  'claims-wrapped': (e, { logger }) => {
    const cost = "checks go by BullMQ's own, by which a burst takes about 1.5 times as long; nothing else changes"
    const todo = `install bullmq ${e.known}, or compare them: \`npm run fingerprints\` (docs/redis.md)`
    logger.warn(e, `the installed BullMQ has other scripts than we know (${e.scripts.join(', ')}): ${cost}; ${todo}`)
  },
  'worker-error': (e, { trouble }) => trouble(...because('worker', e, 'worker')),
  'redis-error': (e, { trouble }) => trouble(...because('Redis', e, 'Redis')),
  'store-error': (e, { trouble }) => trouble(...because('store', e, 'order store')),
  'traces-error': (e, { trouble }) => trouble(...because('traces', e, 'traces')),
  'embedded-redis-exited': (e, { logger }) => logger.error(e, 'the embedded Redis exited unexpectedly; restarting it'),
}

/** What {@link LogTrouble} takes, for an event with an error: trouble of the same kind and code is the same. */
function because(kind: string, { error, ...fields }: { error: Error }, message: string): Parameters<LogTrouble> {
  const code = errorCode(error)
  // Node wraps the refusals of several addresses of one name into an AggregateError without a message.
  return [`${kind} ${code}`, { ...fields, code }, `${message}: ${error.message || code}`]
}

function logLeftOverdue({ left, failed }: Events['sweep-finished'], { trouble }: Log): void {
  const oldest = left?.oldest
  if (!oldest || oldest.lateMs <= LATE_AFTER_MS || LEFT_ON_PURPOSE.includes(oldest.why)) return
  if (oldest.orderId === failed?.orderId) return // logged as a failure
  const message = `overdue orders stay unpaid; this is the oldest: ${oldest.why}`
  trouble(`left ${oldest.why}`, { ...oldest, orders: left.orders }, message)
}

function logSweep({ error, failed, left: _, ...e }: Events['sweep-finished'], { logger, trouble }: Log): void {
  const { cancelled, failed: unsettled } = e.outcomes
  if (error) trouble(...because('sweep', { ...e, error }, 'sweep did not finish'))
  else if (failed) {
    const message = `sweep could not settle ${unsettled} overdue orders, including this one`
    trouble(...because('sweep failed', { ...e, ...failed }, message))
  } else if (!e.standsIn && (cancelled || e.added || e.handedOver))
    logger.info(e, 'sweep found orders that had been missed')
  else logger.debug(e, 'sweep finished')
}

function logWrongCredentials(logger: Logger) {
  return ({ count, last }: { count: number; last: Events['wrong-credentials'] }) => {
    const { address, route, isLimited, addresses } = last
    const unread = isLimited ? ', which was not even compared' : ''
    const message = `wrong passwords or tokens: ${count}, the last from ${address} for ${route}${unread}`
    logger.warn({ route, address, count, addresses }, message)
  }
}

function logPaidLate({ orders }: Events['orders-paid-late'], { logger }: Log): void {
  for (const isReopened of [false, true]) {
    const ids = orders.filter(({ reopened = false }) => reopened === isReopened).map(({ orderId }) => orderId)
    if (ids.length === 0) continue
    const examples = ids.slice(0, PAID_LATE_NAMED).join(' ')
    const what = `${count(ids.length, 'order')} paid after their cancellation: ${examples}`
    const fields = { orders: ids.length, reopened: isReopened }
    if (isReopened) logger.info(fields, `${what}; REOPEN_SQL_FILE has reopened them`)
    else logger.warn(fields, `${what}; give the money back, or fulfil them by hand (docs/payments.md)`)
  }
}

function logSetAside({ at, ...setAside }: Events['orders-set-aside'], { logger }: Log): void {
  const reasons = describeSetAside({ setAside, now: at })
  for (const { why, what, remedy } of reasons) logger.warn({ why, ...setAside[why] }, `${what}; ${remedy}`)
  if (reasons.length === 0) logger.info('no unpaid orders are set aside any longer')
}
