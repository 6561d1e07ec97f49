import { html } from 'ghtml'
import { asOrderExpiryError, blameOf, type ErrorCode, type OrderExpiryError } from '../../errors.ts'
import { errorCode } from '../../observe/events.ts'
import type { Outage } from '../../observe/vitals.ts'
import { LATE_AFTER_MS, WITHOUT_REDIS_MS } from '../../order/promise.ts'
import { howLong } from '../../runtime/human-numbers.ts'
import { runbookOf, type Site } from './site.ts'

/** Something that holds up cancellations, for people. */
export interface Trouble {
  title: string
  /** That of the tab, if it is another. */
  tab?: string
  /** Nothing is broken: somebody wants it so, or a part cannot be read. */
  isMild?: boolean
  /** What it means for the orders, in whole sentences. */
  meaning: string
  reason?: string | undefined
  /** Epoch milliseconds; undefined: not known. */
  since?: number | undefined
  /** The alert whose section of the runbook says what to do. */
  alert: string
}

const TITLES: Partial<Record<ErrorCode, string>> = {
  REDIS_REFUSED: 'Redis refuses commands',
  STORE_READ_ONLY: 'The order store is read-only',
  STORE_REFUSED: 'The order store refuses statements',
  OUTBOX_MISSING: 'The outbox of the order store is missing',
}

type Away = { error: Error } & Partial<Outage>

const WITHIN = `within ${LATE_AFTER_MS / 1_000} s of its return`
const SWEPT = `within ${WITHOUT_REDIS_MS / 1_000} s of its deadline`

/** What a person reads for each of the codes of Redis, the system and the drivers. */
const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens at its address',
  ECONNRESET: 'it closes the connection',
  EHOSTUNREACH: 'its machine cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ENOENT: 'its socket does not exist',
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name cannot be looked up',
  ETIMEDOUT: 'it does not answer in time',
  LOADING: 'it is still reading its data',
  MISCONF: 'it cannot write to its disk',
  NOAUTH: 'it wants a password',
  NOPERM: 'its user may not do what is needed',
  OOM: 'its memory is full',
  REDIS_UNAVAILABLE: 'it does not answer',
  STORE_UNAVAILABLE: 'it does not answer',
  READONLY: 'it is a replica, and takes no writes',
  WRONGPASS: 'it refuses the password',
  '28P01': 'it refuses the password',
  '53300': 'it has too many connections',
  '57P03': 'it is starting or stopping',
}

export function redisTrouble(site: Site, away: Away): Trouble {
  return {
    title: titleOf(away) ?? 'Redis is away',
    meaning: site.isStoreInRedis
      ? `No order can be scheduled, paid or cancelled until Redis is back. What falls due meanwhile is checked ${WITHIN}; nothing is lost as long as Redis keeps its data.`
      : `${meaningForTable(site)} Producers are refused: unless their orders are rows of your table, they must call again.`,
    reason: reasonOf(away.error),
    since: away.since,
    alert: 'OrderExpiryRedisDown',
  }
}

function meaningForTable({ isBrakeLimited, isSwept, vitals }: Site): string {
  const { outages, brake, brakeFailure, dryRun, phase } = vitals
  const held = 'Nothing is lost, but no order is cancelled now, because'
  if (outages.store) return `${held} the order store is away as well.`
  if (dryRun) return `${held} DRY_RUN is set.`
  if (phase === 'starting') return `${held} this process was started meanwhile, and begins once Redis is back.`
  if (brakeFailure) return `${held} it is not known whether the brake is engaged.`
  if (isBrakeLimited)
    return `${held} BRAKE_MAX_PER_MINUTE or BRAKE_PAYMENT_SILENCE is set, and the brake allows none while Redis is away.`
  if (!isSwept) return `${held} your table has no deadline (ORDERS_DEADLINE_COLUMN) by which to sweep it.`
  if (brake?.engaged) return `${held} the brake is engaged.`
  return `Nothing is lost: until Redis is back, sweeps cancel each order ${SWEPT}, as the order store has it.`
}

export function storeTrouble({ vitals }: Site, away: Away): Trouble {
  const wait = vitals.outages.redis ? 'the rows stay as they are' : 'their checks wait in the queue'
  return {
    title: titleOf(away) ?? 'The order store is away',
    meaning: `No order is cancelled until it is back. Nothing is lost: ${wait}, and what falls due meanwhile is checked ${WITHIN}.`,
    reason: reasonOf(away.error),
    since: away.since,
    alert: 'OrderExpiryStoreDown',
  }
}

function titleOf({ error }: Away): string | undefined {
  return TITLES[asOrderExpiryError(error).code]
}

/** What stands behind the refusal of a request, if that is more than the request itself. */
export function troubleBehind(error: OrderExpiryError, site: Site): Trouble | undefined {
  const { redis, store } = site.vitals.outages
  const isOfStore = blameOf(error) === 'store'
  if (error.code.startsWith('REDIS_') || (isOfStore && site.isStoreInRedis)) {
    return redisTrouble(site, redis ?? { error })
  }
  return isOfStore ? storeTrouble(site, store ?? { error }) : undefined
}

/** Only codes and our own words: the driver's name hosts, users and databases. The log has them. */
export function reasonOf(error: Error): string {
  const { code, cause } = asOrderExpiryError(error)
  const inner = cause instanceof Error ? errorCode(cause) : ''
  const isCode = /^[A-Z0-9_]{3,}$/.test(inner) && inner !== code
  return `${REASONS[inner] ?? REASONS[code] ?? 'it cannot be used now'} (${isCode ? `${code}, ${inner}` : code})`
}

/** As HTML. @param options.level of its heading: 1 for what the page is about */
export function troubleBox(options: { site: Site; trouble: Trouble; level: 1 | 2 }): string {
  const { site, trouble, level } = options
  const { title, isMild, meaning, reason, since, alert } = trouble
  const facts = [
    ...(reason ? [html`<span>Reason: ${reason}</span>`] : []),
    ...(since === undefined ? [] : [html`<span>Since ${sinceWhen(since, site.vitals.clock.now())}</span>`]),
  ]
  return html`<div class="trouble!${isMild ? ' mild' : ''}">
<h${level}>${title}</h${level}>
<p>${meaning}</p>
<p class="sub">!${facts}<a href="${runbookOf(site, alert)}">What to do</a></p>
</div>
`
}

/** `2026-11-25 10:00:30 UTC, for 5 min`. */
function sinceWhen(since: number, now: number): string {
  return `${new Date(since).toISOString().slice(0, 19).replace('T', ' ')} UTC, for ${howLong(Math.max(0, now - since))}`
}
