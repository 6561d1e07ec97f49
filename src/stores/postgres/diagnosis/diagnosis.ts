import type pg from 'pg'
import { type Finding, type FindingCode, finding, listed, ok } from '../../../doctor/finding.ts'
import { lookAtCertificate } from '../../../doctor/tls-finding.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { type Database, oneValue } from '../database.ts'
import { asStoreError, databaseTlsTrouble, sqlStateOf } from '../errors.ts'
import { inspectTable } from '../inspection.ts'
import { firstSeen } from '../outbox.ts'
import { createPool } from '../pool.ts'
import { quoteTable } from '../quoting.ts'
import { readOnly } from '../read-only.ts'
import type { PostgresStoreOptions } from '../settings.ts'
import { BACKLOG_AFTER_MS } from '../statements.ts'
import type { Ways } from '../ways.ts'
import { lookAtCancelling, lookAtTriggers } from './cancelling.ts'
import { lookAtDeadlines, lookAtOverdue } from './deadlines.ts'
import { lookAtIds } from './ids.ts'
import { lookAtIndexes } from './indexes.ts'
import { lookAtLatePayments } from './late-payments.ts'
import { hasOutbox, lookAtOutbox } from './outbox.ts'
import { lookAtClock, lookAtConnections, lookAtTimeouts, lookAtTls, lookAtVersion, lookAtWritable } from './server.ts'
import { lookAtSetAside } from './set-aside.ts'
import { lookAtStatuses } from './statuses.ts'
import { lookAtPermissions, lookAtSchema, mismatches } from './table.ts'
import { lookAtUnseenColumns } from './unseen-columns.ts'

/** Looks at the database and the orders table over one connection, and changes nothing. */
export async function diagnosePostgres(options: PostgresStoreOptions, clock: Clock): Promise<Finding[]> {
  const pool = createPool({ ...options, connections: 1 })
  const { ways } = pool
  let client: pg.PoolClient | undefined
  try {
    client = await pool.connect()
    const findings = await diagnose({ ...options, database: readOnly(client), clock, ways })
    return [ok('store-reachable', `answers at ${ways.describe()}`), lookAtTls(ways), ...findings]
  } catch (error) {
    if (client && sqlStateOf(error)) throw asStoreError(error)
    return [unreachableFinding(ways, error), ...[lookAtTls(ways)].filter(({ level }) => level !== 'ok')]
  } finally {
    client?.release(true)
    void pool.end().catch(() => {})
  }
}

async function diagnose(
  options: PostgresStoreOptions & { database: Database; clock: Clock; ways: Ways },
): Promise<Finding[]> {
  const findings: Finding[] = []
  const { database, clock, settings, connections } = options
  const look = async (code: FindingCode, from: Promise<Finding | Finding[] | undefined>) => {
    try {
      findings.push(...listed(await from))
    } catch (error) {
      if (sqlStateOf(error) === undefined) throw error // the connection is lost, and with it all that follows
      findings.push(finding('error', code, { what: `could not be checked: ${asStoreError(error).message}` }))
    }
  }
  const role = await oneValue<string>(database, 'SELECT quote_ident(current_user)')
  findings.push(lookAtTimeouts(options.ways, role))
  await look('store-version', lookAtVersion(database))
  await look('store-writable', lookAtWritable(database, role))
  await look('store-clock', lookAtClock(database, clock))
  await look('store-connections', lookAtConnections(database, { role, connections }))

  const name = quoteTable(settings.ORDERS_TABLE)
  const hidden = await lookAtSchema(database, { name, role })
  if (hidden) return [...findings, hidden]
  const { rows, columns, problems } = await inspectTable(database, options)
  if (!columns) return [...findings, ...(await mismatches(options, { first: rows[0], problems }))]

  const isWrong = (...codes: FindingCode[]) =>
    findings.some(({ code, level }) => codes.includes(code) && level === 'error')
  const table = { ...options, rows, columns, role, cancelSql: settings.cancelSql }
  await look('store-permissions', lookAtPermissions(table))
  await look('store-outbox', lookAtOutbox(table))
  await look('store-triggers', lookAtTriggers(table))
  // Where the outbox or a permission is missing, the statement fails for that.
  if (!isWrong('store-permissions') && (await hasOutbox(table))) await look('store-table', lookAtCancelling(table))
  if (!isWrong('store-table')) findings.push(ok('store-table', `${columns.table} matches the settings`))
  if (isWrong('store-permissions')) return findings
  await look('store-index', lookAtIndexes(table))
  if (!isWrong('store-outbox'))
    await look('store-late-payments', lookAtLatePayments({ ...table, reopenSql: settings.reopenSql }))
  await look('store-statuses', lookAtStatuses(table))
  await look('store-ids', lookAtIds(table))
  await look('store-paid-columns', lookAtUnseenColumns(table))
  await look('store-deadlines', lookAtDeadlines(table))
  const firstSeenMs = isWrong('store-outbox') ? undefined : await firstSeen(table)
  const seen = { ...table, firstSeenMs, backlogEndMs: (firstSeenMs ?? clock.now()) - BACKLOG_AFTER_MS }
  await look('store-unreadable', lookAtSetAside(seen))
  await look('store-overdue', lookAtOverdue(seen))
  return findings
}

/** What to do, by the class of the SQLSTATE. */
const REMEDIES: Record<string, string> = {
  '08': '# look into the log of the pooler, or of what else is between here and PostgreSQL (docs/postgres.md)',
  '28': '# correct the user and the password in DATABASE_URL, or pg_hba.conf',
  '3D': '# correct the name of the database in DATABASE_URL',
  '42': '# GRANT CONNECT on the database to the user of DATABASE_URL',
  '53': '# close connections that are not needed, or raise max_connections',
  '57': '# it starts, stops or recovers: wait, and run doctor again',
}

/** Why the database cannot be used at all. */
function unreachableFinding(ways: Ways, error: unknown): Finding {
  const { message, cause } = asStoreError(error)
  const trouble = databaseTlsTrouble(cause)
  const { host, port, isEncrypted, servername } = ways.reached()
  const look = lookAtCertificate({ host, port, servername, prefix: 'DATABASE', protocol: 'postgres' })
  return finding('error', 'store-reachable', {
    what: `cannot be used at ${ways.describeAll()}: ${trouble?.what ?? message}`,
    meaning: 'No order can be checked; checks wait until it is back.',
    fix: trouble
      ? [`# ${trouble.remedy}`, ...(isEncrypted ? [look] : [])]
      : (REMEDIES[sqlStateOf(cause)?.slice(0, 2) ?? ''] ??
        `# start PostgreSQL, or correct DATABASE_URL; then from this machine: ${isEncrypted ? look : 'psql "$DATABASE_URL" -c "SELECT 1"'}`),
  })
}
