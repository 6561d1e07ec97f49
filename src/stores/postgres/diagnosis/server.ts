import { clockOffset } from '../../../doctor/clock-offset.ts'
import { clockFinding, type Finding, finding } from '../../../doctor/finding.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { type Database, databaseNow, one } from './database.ts'

const LEAST_VERSION = 13

export async function lookAtServer(database: Database): Promise<Finding[]> {
  const server = await one<{
    version: string
    number: number
    standby: boolean
    database: string
    role: string
    read_only: string
    source: string
  }>(
    database,
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
           pg_is_in_recovery() AS standby, quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
           s.setting AS read_only, s.source
    FROM pg_settings s WHERE s.name = 'default_transaction_read_only'`,
  )
  const { version, number, standby, database: name, role, read_only: readOnly, source } = server
  const findings = [
    number >= LEAST_VERSION * 10_000
      ? finding('ok', 'store-version', { what: `PostgreSQL ${version}` })
      : finding('error', 'store-version', {
          what: `PostgreSQL ${version}, expected ${LEAST_VERSION} or later`,
          meaning: 'The outbox needs gen_random_uuid().',
          fix: '# upgrade the server',
        }),
  ]
  if (standby) {
    findings.push(
      finding('error', 'store-writable', {
        what: 'this is a standby: it takes no writes',
        meaning: 'No order can be cancelled.',
        fix: '# point DATABASE_URL to the primary (with several hosts: ?target_session_attrs=read-write)',
      }),
    )
  } else if (readOnly === 'on') {
    const reset: Record<string, string> = {
      database: `ALTER DATABASE ${name} RESET default_transaction_read_only;`,
      user: `ALTER ROLE ${role} RESET default_transaction_read_only;`,
      'database user': `ALTER ROLE ${role} IN DATABASE ${name} RESET default_transaction_read_only;`,
      client: '# take default_transaction_read_only out of DATABASE_URL',
    }
    findings.push(
      finding('error', 'store-writable', {
        what: `default_transaction_read_only is on (from: ${source})`,
        meaning: 'No order can be cancelled.',
        fix: reset[source] ?? ['ALTER SYSTEM SET default_transaction_read_only = off;', 'SELECT pg_reload_conf();'],
      }),
    )
  } else findings.push(finding('ok', 'store-writable', { what: 'takes writes' }))
  return findings
}

export async function compareClocks(database: Database, clock: Clock): Promise<Finding[]> {
  const offset = await clockOffset({ clock, read: () => databaseNow(database) })
  const meaning =
    'Orders are cancelled by the clock of the database, checks come by the one here: they come that much too early and are looked at again, or too late.'
  return [clockFinding({ code: 'store-clock', ...offset, meaning })]
}

/** @param connections how many a process of order-expiry opens */
export async function lookAtConnections(database: Database, connections: number): Promise<Finding[]> {
  const { most, used, limit, role, mine } = await one<
    Record<'most' | 'used' | 'limit' | 'mine', number> & { role: string }
  >(
    database,
    `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
           (SELECT sum(numbackends) FROM pg_stat_database)::int AS used,
           r.rolconnlimit AS limit, quote_ident(r.rolname) AS role,
           (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)::int AS mine
    FROM pg_roles r WHERE r.rolname = current_user`,
  )
  const what = `${used} of ${most} used, ${connections} for each process of order-expiry`
  if (limit >= 0 && limit < connections) {
    return [
      finding('warning', 'store-connections', {
        what: `the role may have ${limit} (in use ${mine}), a process of order-expiry opens up to ${connections}`,
        meaning: 'Checks wait for a connection, and the probes fail.',
        fix: `ALTER ROLE ${role} CONNECTION LIMIT ${connections * 4};`,
      }),
    ]
  }
  if (most - used >= connections) return [finding('ok', 'store-connections', { what })]
  return [
    finding('warning', 'store-connections', {
      what,
      meaning: 'A process that starts now may not get its connections, and waits.',
      fix: [
        '# close connections that are not needed, put a pooler in between, or, at the next restart of the server:',
        `ALTER SYSTEM SET max_connections = ${most * 2};`,
      ],
    }),
  ]
}
