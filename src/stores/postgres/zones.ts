import type { OrdersColumns } from './columns.ts'
import { type Database, one, oneValue } from './database.ts'
import { sqlStateOf } from './errors.ts'
import { isUtc } from './instants.ts'
import { unquoteIdentifier } from './quoting.ts'
import type { PostgresSettings } from './settings.ts'

/**
 * What is wrong with the zone in which the columns of type `timestamp` are read. Without ORDERS_TIME_ZONE they are read as UTC,
 * which is right for sure only if no session that may write them has another TimeZone.
 */
export async function zoneProblem(
  database: Database,
  columns: OrdersColumns,
  { ORDERS_TIME_ZONE: zone }: PostgresSettings,
): Promise<string | undefined> {
  if (zone !== undefined) return unfitProblem(database, zone)
  const [column] = [columns.deadline, columns.paidAt, columns.cancelledAt].filter((one) => one?.type === 'timestamp')
  if (!column) return undefined
  const { zones, isServerHidden } = await readZones(database)
  const other = zones.find(({ zone }) => !isUtc(zone))
  if (!other && !isServerHidden) return undefined
  const why = other
    ? `the TimeZone of ${other.of} is ${other.zone}`
    : 'the TimeZone of the server cannot be seen by this role'
  const example = other?.zone ?? 'America/New_York'
  return (
    `ORDERS_TIME_ZONE: expected the time zone in which ${unquoteIdentifier(column.sql)} is written, since its type is timestamp ` +
    `without time zone and ${why}; given none. Set UTC if your programs write UTC (as Prisma, Rails and Laravel do), or the ` +
    `zone of their sessions if they write now() or local time, such as ${example}`
  )
}

async function unfitProblem(database: Database, zone: string): Promise<string | undefined> {
  if (!(await isKnown(database, zone))) {
    return `ORDERS_TIME_ZONE: expected a zone that PostgreSQL knows, given ${zone}; SELECT name FROM pg_timezone_names lists them`
  }
  // PostgreSQL takes CET, PST or IST for a fixed offset, without summer time, and IST for that of Israel.
  const isAbbreviation = 'SELECT EXISTS (SELECT FROM pg_timezone_abbrevs WHERE abbrev = upper($1))'
  if (isUtc(zone) || !(await oneValue<boolean>(database, isAbbreviation, [zone]))) return undefined
  return `ORDERS_TIME_ZONE: expected the zone of a place, such as Europe/Berlin, given the abbreviation ${zone}, which has no summer time`
}

async function isKnown(database: Database, zone: string): Promise<boolean> {
  try {
    await database.query('SELECT now() AT TIME ZONE $1', [zone])
    return true
  } catch (error) {
    if (sqlStateOf(error) !== '22023') throw error
    return false
  }
}

interface Zones {
  /** Of each kind of session that may write to the table, as far as that can be seen. */
  zones: { zone: string; of: string }[]
  /** Whether our own role or connection has a zone of its own, which hides that of the server. */
  isServerHidden: boolean
}

async function readZones(database: Database): Promise<Zones> {
  const { mine, source, isOfDatabase, set } = await one<{
    mine: string
    source: string
    isOfDatabase: boolean
    set: Zones['zones'] | null
  }>(database, ZONES_SQL)
  const isOwn = ['user', 'database user', 'client', 'session', 'interactive'].includes(source)
  const zones = [...(set ?? []), ...(isOwn ? [] : [{ zone: mine, of: 'the server or database' }])]
  return {
    zones: isOwn ? [{ zone: mine, of: 'our own sessions' }, ...zones] : zones,
    isServerHidden: isOwn && !isOfDatabase,
  }
}

/* Settings of a database or a role; those of this database without a role count for every session that has none of its own. */
const ZONES_SQL = `
WITH set AS (
  SELECT s.setdatabase, s.setrole, split_part(entry, '=', 2) AS zone,
         coalesce(nullif(concat_ws(' in ', 'the role ' || nullif(s.setrole, 0)::regrole::text, 'the database ' || d.datname), ''),
                  'all roles') AS of
  FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS entry
  WHERE entry ILIKE 'timezone=%' AND (s.setdatabase = 0 OR d.datname = current_database())
)
SELECT current_setting('TimeZone') AS mine, (SELECT source FROM pg_settings WHERE name = 'TimeZone') AS source,
       EXISTS (SELECT FROM set WHERE setrole = 0 AND setdatabase <> 0) AS "isOfDatabase",
       (SELECT jsonb_agg(jsonb_build_object('zone', zone, 'of', of)) FROM set) AS set`
