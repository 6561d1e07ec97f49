import { html } from 'ghtml'
import { CLOCKS_DIFFER_MS } from '../../observe/clock-offsets.ts'
import { type Counts, LATENESS_BOUNDS, latenessOf } from '../../observe/minutes.ts'
import { HEALTHY_MS } from '../../order/promise.ts'
import { clockDifference, count, howLate, howLong, number, size } from '../../runtime/human-numbers.ts'
import type { Overview } from './read-overview.ts'
import { linkTo, runbookOf, type Site } from './site.ts'

/** How something is, in words, and where to read on. */
export interface Tile {
  name: string
  value: string
  /** How good that is; undefined: neither good nor bad. */
  level?: 'good' | 'warn' | 'bad' | undefined
  note?: string | undefined
  href: string
}

interface Shown {
  overview: Overview
  site: Site
  /** Of the queue on the board. */
  boardPath: string
}

const LONGEST_KNOWN_MS = LATENESS_BOUNDS.at(-1) as number
const LATENESS_MINUTES = 15
const MUCH_MEMORY = 0.8
/** As the alert has it. */
const OUTBOX_STUCK_MS = 900_000
/** As many sweeps are missing. */
const SWEEPS_MISSED = 3
const UNKNOWN = { value: 'unknown', level: 'warn' } as const

/** How what everything depends on stands. */
export function stateTiles(shown: Shown): Tile[] {
  return [
    redisTile(shown),
    storeTile(shown),
    brakeTile(shown),
    queueTile(shown),
    sweepTile(shown),
    ...outboxTiles(shown),
    ...setAsideTiles(shown),
    ...clockTiles(shown),
  ]
}

/** How many orders there are, and how late. */
export function figureTiles({ overview, site, boardPath }: Shown): Tile[] {
  const { overdue, counts, forecast, history } = overview
  const onBoard = (status: string) => linkTo(site, `${boardPath}?status=${status}`)
  const decided = history?.reduce(addUp, {})
  const { cancelled = 0, kept = 0, missing = 0 } = decided ?? {}
  return [
    overdueTile(overdue, site),
    latenessTile(history, site),
    {
      name: 'Waiting',
      value: figure(forecast?.waiting),
      note: forecast && `${number(forecast.within['60m'])} of them due in the next hour`,
      href: onBoard('delayed'),
    },
    {
      name: 'Due now',
      value: figure(forecast?.due),
      note: 'checks about to begin or under way',
      href: onBoard('active'),
    },
    {
      name: 'Cancelled, 1 h',
      value: figure(decided && cancelled),
      note: decided && `of ${count(cancelled + kept + missing, 'decision')}`,
      href: onBoard('completed'),
    },
    givenUpTile(counts, onBoard('failed')),
  ]
}

/** As HTML. */
export function tileList(tiles: readonly Tile[]): string {
  const items = tiles.map(
    ({ name, value, level, note, href }) =>
      html`<li><a class="tile!${level ? ` ${level}` : ''}" href="${href}"><span>${name}</span><b>${value}</b>!${note ? html`<span>${note}</span>` : ''}</a></li>
`,
  )
  return html`<ul class="tiles">!${items}</ul>`
}

function redisTile({ overview: { away, memory }, site }: Shown): Tile {
  const name = 'Redis'
  if (away.redis) {
    return { name, value: 'away', level: 'bad', note: since(away.redis), href: runbookOf(site, 'OrderExpiryRedisDown') }
  }
  const href = linkTo(site, '/guide/redis-store#what-redis-must-be')
  if (!memory?.used) return { name, value: 'up', level: 'good', href }
  const { used, max, policy } = memory
  const note = `${size(used)}${max > 0 ? ` of ${size(max)}` : ', no limit'}${policy ? `, ${policy}` : ''}`
  if (policy !== undefined && policy !== 'noeviction') {
    return { name, value: 'may lose orders', level: 'warn', note, href }
  }
  return used > MUCH_MEMORY * max && max > 0
    ? { name, value: 'nearly full', level: 'warn', note, href }
    : { name, value: 'up', level: 'good', note, href }
}

function storeTile({ overview: { away, isStoreTried, isBreakerOpen }, site }: Shown): Tile {
  const name = 'Order store'
  const href = runbookOf(site, 'OrderExpiryStoreDown')
  if (!isStoreTried) return { name, ...UNKNOWN, note: 'not opened yet', href }
  if (!away.store) {
    return { name, value: 'up', level: 'good', note: site.isStoreInRedis ? 'in Redis' : 'your table', href }
  }
  const breaker = isBreakerOpen ? ', breaker open' : ''
  return { name, value: 'away', level: 'bad', note: `${since(away.store)}${breaker}`, href }
}

function brakeTile({ overview: { brake, brakeFailure, away, dryRun }, site }: Shown): Tile {
  const name = 'Brake'
  const href = linkTo(site, '/guide/brake')
  if (brakeFailure) return { name, value: 'unknown', level: 'bad', note: 'unknown: cancels nothing', href }
  if (!brake || away.redis) return { name, ...UNKNOWN, href }
  if (brake.engaged) return { name, value: 'engaged', level: 'bad', note: brake.reason, href }
  return { name, value: 'released', level: 'good', note: dryRun ? 'dry run: cancels nothing' : undefined, href }
}

function queueTile({ overview: { counts, processes }, site, boardPath }: Shown): Tile {
  const name = 'Queue'
  const href = linkTo(site, boardPath)
  const running = processes?.length ?? 0
  const note = running > 0 ? `${number(running)} process${running === 1 ? '' : 'es'}` : undefined
  if (!counts) return { name, ...UNKNOWN, href }
  return counts.isPaused
    ? { name, value: 'paused', level: 'bad', note: 'no check begins', href }
    : { name, value: 'running', level: 'good', note, href }
}

function sweepTile({ overview: { lastSweep, at }, site }: Shown): Tile {
  const name = 'Last sweep'
  const href = runbookOf(site, 'OrderExpirySweepFails')
  if (!lastSweep) return { name, value: 'none yet', href }
  const { error, by, cancelled, overdue } = lastSweep
  const found = overdue > 0 ? `${number(cancelled)} of ${number(overdue)} overdue cancelled` : 'nothing was overdue'
  const ageMs = Math.max(0, at - lastSweep.at)
  const value = `${howLong(ageMs)} ago`
  if (error) return { name, value, level: 'bad', note: `failed: ${error}, by ${by}`, href }
  if (ageMs > SWEEPS_MISSED * site.sweepEveryMs)
    return { name, value, level: 'warn', note: `overdue itself, by ${by}`, href }
  return { name, value, level: 'good', note: `${found}, by ${by}`, href }
}

function outboxTiles({ overview: { outbox }, site }: Shown): Tile[] {
  if (!outbox) return []
  const { events, oldestAgeMs = 0 } = outbox
  const isStuck = oldestAgeMs > OUTBOX_STUCK_MS
  const oldest = events > 0 ? `the oldest for ${howLong(oldestAgeMs)}` : 'every event was taken'
  return [
    {
      name: 'Outbox',
      value: count(events, 'event'),
      level: isStuck ? 'warn' : undefined,
      note: isStuck ? `${oldest}: nobody takes them` : oldest,
      href: isStuck ? runbookOf(site, 'OrderExpiryOutboxStuck') : linkTo(site, '/guide/outbox'),
    },
  ]
}

/** Nothing where no order is set aside: most shops never have one. */
function setAsideTiles({ overview: { setAside }, site }: Shown): Tile[] {
  const rows = [
    { name: 'Backlog', orders: setAside?.backlog.orders ?? 0, alert: 'OrderExpiryBacklog' },
    { name: 'Unreadable deadlines', orders: setAside?.unreadable.orders ?? 0, alert: 'OrderExpiryUnreadableDeadline' },
  ]
  const note = 'never cancelled as they are'
  return rows
    .filter(({ orders }) => orders > 0)
    .map(({ name, orders, alert }) => ({
      name,
      value: number(orders),
      level: 'warn',
      note,
      href: runbookOf(site, alert),
    }))
}

/** Only those that differ from ours. */
function clockTiles({ overview: { clockOffsets }, site }: Shown): Tile[] {
  const { redis = 0, store = 0 } = clockOffsets
  return Object.entries({ 'Clock of Redis': redis, 'Clock of the store': store }).flatMap(([name, ms]): Tile[] => {
    if (Math.abs(ms) <= CLOCKS_DIFFER_MS) return []
    const value = `${clockDifference(Math.abs(ms))} ${ms < 0 ? 'behind' : 'ahead'}`
    return [{ name, value, level: 'warn', note: 'of ours', href: runbookOf(site, 'OrderExpiryClockOff') }]
  })
}

function overdueTile(overdue: Overview['overdue'], site: Site): Tile {
  const name = 'Late orders'
  const href = runbookOf(site, 'OrderExpiryOverdue')
  if (!overdue) return { name, value: '–', note: 'cannot be read now', href }
  const { orders, oldestSeconds } = overdue
  if (orders === 0) return { name, value: '0', level: 'good', note: 'nothing is overdue', href }
  const note = `the oldest for ${howLong(oldestSeconds * 1_000)}`
  return { name, value: `${number(orders)} late`, level: 'bad', note, href }
}

function latenessTile(history: Overview['history'], site: Site): Tile {
  const name = `Lateness, ${LATENESS_MINUTES} min`
  const href = runbookOf(site, 'OrderExpiryLate')
  const p99 = history && latenessOf(history.slice(-LATENESS_MINUTES).reduce(addUp, {}), 0.99)
  if (p99 === undefined) return { name, value: '–', note: history ? 'no check has ended' : 'cannot be read now', href }
  const value = p99 > LONGEST_KNOWN_MS ? `> ${howLate(LONGEST_KNOWN_MS)}` : `≤ ${howLate(p99)}`
  return p99 > HEALTHY_MS
    ? { name, value, level: 'bad', note: `late: ${howLate(HEALTHY_MS)} is promised for 99 of 100`, href }
    : { name, value, level: 'good', note: '99 of 100 checks', href }
}

function givenUpTile(counts: Overview['counts'], href: string): Tile {
  const failed = counts && (counts.jobs.failed ?? 0)
  const note = failed ? 'replay them once the cause is mended' : undefined
  const level = failed === undefined ? undefined : failed > 0 ? 'warn' : 'good'
  return { name: 'Given up', value: figure(failed), level, note, href }
}

function addUp(sum: Counts, counts: Counts): Counts {
  for (const [name, value] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + value
  return sum
}

function figure(value: number | undefined): string {
  return value === undefined ? '–' : number(value)
}

function since({ since: ms }: { since: number }): string {
  return `since ${new Date(ms).toISOString().slice(11, 19)} UTC`
}
