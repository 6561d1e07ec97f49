import { quoteLiteral } from './quoting.ts'

/** A column with a time, and how its values are to be read. Names are SQL, quoted. */
export interface TimeColumn {
  sql: string
  type: TimeType
  /** Of a `timestamp`: the IANA name of the zone it is written in. */
  zone: string
  /** Of a number: how many milliseconds its unit has. */
  unitMs: number
  /** The instant that is meant comes this much after the one that is written. */
  afterMs: number
}
export type TimeType = 'timestamptz' | 'timestamp' | 'number'

/** Within these, an instant can be moved to another zone and by a duration; those beyond are never, or unreadable, as well. */
const FIRST = '0001-01-01'
const LAST = '290000-01-01'
const LAST_SECOND = 9_000_000_000_000

/** The instant that the column of `alias` means, as a timestamptz; null if there is none. */
export function instantOf({ sql, type, zone, unitMs, afterMs }: TimeColumn, alias: string): string {
  const value = `${alias}.${sql}`
  const instant = {
    timestamptz: afterMs > 0 ? between(value, `'${FIRST}'`, `'${LAST}'`) : value,
    timestamp: `(${between(value, `'${FIRST}'`, `'${LAST}'`)} AT TIME ZONE ${quoteLiteral(zone)})`,
    number: `to_timestamp(${between(`${value}::float8 / ${1_000 / unitMs}`, '0', `${LAST_SECOND}`)})`,
  }[type]
  return afterMs > 0 ? `(${instant} + ${interval(afterMs)})` : instant
}

/**
 * What the column has where it means this instant, or the one nearest before it (`atMost`) or after it (`atLeast`), to be
 * compared with the column itself, so that an index on it fits.
 *
 * A clock that is set back shows the same times twice, and PostgreSQL takes them for the later ones. So all columns that mean
 * at most an instant have at most this value; a few more do, in the hour that comes twice: {@link isMonotonic}.
 */
export function valueAt(
  { type, zone, unitMs, afterMs }: TimeColumn,
  instant: string,
  side: 'atMost' | 'atLeast',
): string {
  const written = afterMs > 0 ? `(${instant} - ${interval(afterMs)})` : instant
  if (type === 'timestamptz') return written
  if (type === 'timestamp') return `(${written} AT TIME ZONE ${quoteLiteral(zone)})`
  const units = `least(${secondsOf(written)} * ${1_000 / unitMs}, ${Number.MAX_SAFE_INTEGER})`
  return `${side === 'atMost' ? 'floor' : 'ceil'}(${units})::bigint`
}

/** Whether a later value of the column always means a later instant. */
export function isMonotonic({ type, zone }: TimeColumn): boolean {
  return type !== 'timestamp' || isUtc(zone)
}

/** Whether a name of a time zone is one of those of UTC. */
export function isUtc(zone: string): boolean {
  return /^(etc\/)?(utc|uct|gmt|gmt[+-]?0|zulu|universal|greenwich)$/i.test(zone)
}

/** Unlike `least` and `greatest`, null for null. */
function between(value: string, first: string, last: string): string {
  return `CASE WHEN ${value} < ${first} THEN ${first} WHEN ${value} > ${last} THEN ${last} ELSE ${value} END`
}

/** The time of epoch milliseconds. */
export function atMs(sql: string): string {
  return `to_timestamp(${sql} / 1000)`
}

/** The epoch milliseconds of a time, with a fraction. */
export function ms(sql: string): string {
  return `(${secondsOf(sql)} * 1000)::float8`
}

function secondsOf(sql: string): string {
  return `extract(epoch FROM ${sql})`
}

function interval(durationMs: number): string {
  return `interval '${durationMs} milliseconds'`
}
