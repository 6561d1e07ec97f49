import { compareClocks } from '../../../doctor/clock-offset.ts'
import { type Finding, finding, ok } from '../../../doctor/finding.ts'
import { tlsFinding } from '../../../doctor/tls-finding.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { type Database, databaseNow, one } from '../database.ts'
import type { Ways } from '../ways.ts'

const LEAST_VERSION = 13

export async function lookAtVersion(database: Database): Promise<Finding> {
  const sql = `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number`
  const { version, number } = await one<{ version: string; number: number }>(database, sql)
  if (number >= LEAST_VERSION * 10_000) return ok('store-version', `PostgreSQL ${version}`)
  return finding('error', 'store-version', {
    what: `PostgreSQL ${version}, expected ${LEAST_VERSION} or later`,
    meaning: 'The outbox needs gen_random_uuid().',
    fix: '# upgrade the server',
  })
}

export async function lookAtWritable(database: Database, role: string): Promise<Finding> {
  const { isStandby, name, readOnlyBy } = await one<{ isStandby: boolean; name: string; readOnlyBy: string | null }>(
    database,
    `SELECT pg_is_in_recovery() AS "isStandby", quote_ident(current_database()) AS name, (SELECT source FROM pg_settings
            WHERE pg_settings.name = 'default_transaction_read_only' AND setting = 'on') AS "readOnlyBy"`,
  )
  const meaning = 'No order can be cancelled.'
  if (isStandby) {
    return finding('error', 'store-writable', {
      what: 'this is a standby: it takes no writes',
      meaning,
      fix: '# point DATABASE_URL to the primary (with several hosts: ?target_session_attrs=read-write)',
    })
  }
  if (readOnlyBy === null) return ok('store-writable', 'takes writes')
  const reset: Record<string, string> = {
    database: `ALTER DATABASE ${name} RESET default_transaction_read_only;`,
    user: `ALTER ROLE ${role} RESET default_transaction_read_only;`,
    'database user': `ALTER ROLE ${role} IN DATABASE ${name} RESET default_transaction_read_only;`,
    client: '# take default_transaction_read_only out of DATABASE_URL',
  }
  return finding('error', 'store-writable', {
    what: `default_transaction_read_only is on (from: ${readOnlyBy})`,
    meaning,
    fix: reset[readOnlyBy] ?? ['ALTER SYSTEM SET default_transaction_read_only = off;', 'SELECT pg_reload_conf();'],
  })
}

export async function lookAtClock(database: Database, clock: Clock): Promise<Finding> {
  return compareClocks({
    code: 'store-clock',
    clock,
    read: () => databaseNow(database),
    meaning:
      'Orders are cancelled by the clock of the database: a deadline that is counted from the clock here comes that much too early or too late.',
  })
}

/** @param connections how many a process of order-expiry opens */
export async function lookAtConnections(
  database: Database,
  { role, connections }: { role: string; connections: number },
): Promise<Finding> {
  const { most, used, limit, mine } = await one<Record<'most' | 'used' | 'limit' | 'mine', number>>(
    database,
    `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
           (SELECT sum(numbackends) FROM pg_stat_database)::int AS used, rolconnlimit AS limit,
           (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)::int AS mine
    FROM pg_roles WHERE rolname = current_user`,
  )
  if (limit >= 0 && limit < connections) {
    return finding('warning', 'store-connections', {
      what: `the role may have ${limit} (in use ${mine}), a process of order-expiry opens up to ${connections}`,
      meaning: 'Checks wait for a connection, and the probes fail.',
      fix: `ALTER ROLE ${role} CONNECTION LIMIT ${connections * 4};`,
    })
  }
  const what = `${used} of ${most} used, ${connections} for each process of order-expiry`
  if (most - used >= connections) return ok('store-connections', what)
  return finding('warning', 'store-connections', {
    what,
    meaning: 'A process that starts now may not get its connections, and waits.',
    fix: [
      '# close connections that are not needed, put a pooler in between, or, at the next restart of the server:',
      `ALTER SYSTEM SET max_connections = ${most * 2};`,
    ],
  })
}

export function lookAtTls(ways: Ways): Finding {
  const { host, isEncrypted, isVerified } = ways.reached()
  return tlsFinding({
    code: 'store-tls',
    host,
    protection: { isEncrypted, isVerified },
    encrypt: 'turn on ssl on the server, and write sslmode=verify-full in DATABASE_URL (docs/tls.md)',
    verify: 'write sslmode=verify-full in DATABASE_URL, and set DATABASE_TLS_CA_FILE (docs/tls.md)',
  })
}

/** Whether the time-outs that each connection asks for have reached the session. */
export function lookAtTimeouts(ways: Ways, role: string): Finding {
  const timeouts = Object.entries(ways.bounds).filter(([name]) => name.endsWith('_timeout'))
  if (!ways.whyUnbounded) return ok('store-timeouts', 'each session has its time-outs')
  return finding('info', 'store-timeouts', {
    what: `a pooler keeps time-outs from the sessions (${ways.whyUnbounded})`,
    meaning: 'Each statement gets them in a transaction of its own. It works, but costs two round trips more.',
    fix: [
      '# connect without the pooler, or have it ignore the parameters (docs/postgres.md) and set them on the role:',
      ...timeouts.map(([name, value]) => `ALTER ROLE ${role} SET ${name} = '${value}';`),
    ],
  })
}
