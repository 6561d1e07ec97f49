import { OrderExpiryError } from '../errors.ts'
import { clockFinding, count, type Finding, type FindingCode, finding } from '../observe/finding.ts'
import type { Clock } from '../runtime/clock.ts'
import { overdueFinding } from './overdue-finding.ts'
import {
  COLUMNS_SQL,
  type ColumnRow,
  type OrdersColumns,
  type OrdersMapping,
  quoteIdentifier,
  quoteTable,
  resolveColumns,
} from './postgres-columns.ts'
import { asStoreError, sqlStateOf } from './postgres-errors.ts'
import { hasSweepIndex, quoteLiteral, SWEEP_INDEX, sweepIndexStatement } from './postgres-index.ts'
import { buildStatements, OUTBOX_COLUMNS, OUTBOX_TABLE } from './postgres-sql.ts'

/** One connection to the database. */
export interface Database {
  query<Row extends object = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

interface Context {
  database: Database
  clock: Clock
  mapping: OrdersMapping
  usesShopSql: boolean
  /** Whether the silence of payments is watched, for which the latest payment must be found quickly. */
  watchesPayments: boolean
  /** Connections that one process opens. */
  connections: number
}

interface TableContext extends Context {
  columns: OrdersColumns
  rows: readonly ColumnRow[]
  role: string
}

/** Longest time for a look at the rows themselves, of which there may be many. */
const BOUND_MS = 1_000
/** Rows that are looked at for the statuses that occur. */
const SAMPLE = 10_000
const MANY_NULLS = 1_000
const MANY_EVENTS = 100_000
const LEAST_VERSION = 13

/** Looks at the database and the orders table over one connection, and changes nothing. */
export async function diagnosePostgres(context: Context): Promise<Finding[]> {
  const findings: Finding[] = []
  const { database, mapping } = context
  const look = async (code: FindingCode, from: Promise<Finding[]>) => {
    try {
      findings.push(...(await from))
    } catch (error) {
      if (sqlStateOf(error) === undefined) throw error // the connection is lost, and with it all that follows
      findings.push(finding('error', code, { what: `could not be looked at: ${asStoreError(error).message}` }))
    }
  }
  await look('store-version', lookAtServer(context))
  await look('store-clock', compareClocks(context))
  await look('store-connections', lookAtConnections(context))

  const role: string = (await one<{ role: string }>(database, 'SELECT quote_ident(current_user) AS role')).role
  const hidden = await lookAtSchema({ ...context, role })
  if (hidden) return [...findings, hidden]
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [quoteTable(mapping.table)])
  let columns: OrdersColumns
  try {
    columns = resolveColumns(mapping, rows, context)
  } catch (error) {
    return [...findings, ...(await mismatches({ ...context, rows, error }))]
  }
  findings.push(finding('ok', 'store-table', { what: `${columns.table} is as the settings say` }))
  const table: TableContext = { ...context, columns, rows, role }
  await look('store-permissions', lookAtPermissions(table))
  await look('store-outbox', lookAtOutbox(table))
  await look('store-triggers', lookAtTriggers(table))
  await look('store-index', lookAtIndexes(table))
  if (findings.some(({ code, level }) => code === 'store-permissions' && level === 'error')) return findings
  await look('store-statuses', lookAtStatuses(table))
  await look('store-deadlines', lookAtDeadlines(table))
  await look('store-overdue', lookAtOverdue(table))
  return findings
}

/** Why the database cannot be used at all. */
export function unreachableFinding(where: string, error: unknown): Finding {
  const { message, cause } = asStoreError(error)
  const state = sqlStateOf(cause) ?? ''
  const hints: Record<string, string> = {
    '28': '# correct the user and the password in DATABASE_URL, or pg_hba.conf',
    '3D': '# correct the name of the database in DATABASE_URL',
    '42': '# GRANT CONNECT on the database to the user of DATABASE_URL',
    '53': '# close connections that are not needed, or raise max_connections',
    '57': '# it starts, stops or recovers: wait, and run doctor again',
  }
  return finding('error', 'store-reachable', {
    what: `cannot be used at ${where}: ${message}`,
    meaning: 'No order can be looked at; checks wait until it is back.',
    fix:
      hints[state.slice(0, 2)] ??
      '# start PostgreSQL, or correct DATABASE_URL; then from this machine: psql "$DATABASE_URL" -c "SELECT 1"',
  })
}

async function lookAtServer({ database }: Context): Promise<Finding[]> {
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

async function compareClocks({ database, clock }: Context): Promise<Finding[]> {
  let best = { offsetMs: 0, marginMs: Number.POSITIVE_INFINITY }
  for (let n = 0; n < 5; n++) {
    const before = clock.now()
    const { now } = await one<{ now: number }>(database, NOW_SQL)
    const after = clock.now()
    const marginMs = (after - before) / 2 + 1
    if (marginMs < best.marginMs) best = { offsetMs: now - (before + after) / 2, marginMs }
  }
  const meaning =
    'Orders are cancelled by the clock of the database, checks come by the one here: they come that much too early and are looked at again, or too late.'
  return [clockFinding({ code: 'store-clock', ...best, meaning })]
}

async function lookAtConnections({ database, connections }: Context): Promise<Finding[]> {
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

/** Without USAGE on its schema, the table cannot even be looked up. */
async function lookAtSchema({ database, mapping, role }: Context & { role: string }): Promise<Finding | undefined> {
  const { rows } = await database.query<{ schema: string }>(
    `SELECT quote_ident(n.nspname) AS schema FROM pg_namespace n
     WHERE quote_ident(n.nspname) || '.' = ANY ($1) AND NOT has_schema_privilege(n.oid, 'USAGE')`,
    [schemaOf(mapping.table)],
  )
  const [hidden] = rows
  if (!hidden) return undefined
  return finding('error', 'store-permissions', {
    what: `the role ${role} may not use the schema ${hidden.schema}`,
    meaning: 'The daemon does not start.',
    fix: `GRANT USAGE ON SCHEMA ${hidden.schema} TO ${role};`,
  })
}

/** The schema of the table as `quote_ident` would write it, both with and without quotes; empty if it names none. */
function schemaOf(table: string): string[] {
  const quoted = quoteTable(table) ?? ''
  const schema = /^("(?:[^"]|"")+")\./.exec(quoted)?.[1]
  return schema ? [`${schema}.`, `${schema.slice(1, -1)}.`] : []
}

async function mismatches(context: Context & { rows: readonly ColumnRow[]; error: unknown }): Promise<Finding[]> {
  const { database, mapping, rows, error } = context
  if (!(error instanceof OrderExpiryError)) throw error
  const meaning = 'The daemon does not start.'
  const settings = '# correct the setting, or the table'
  if (rows.length === 0) {
    const name = (quoteTable(mapping.table) ?? '').replace(/^("(?:[^"]|"")+")\./, '')
    const { rows: found } = await database.query<{ name: string }>(
      `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p', 'v', 'f')
         AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 5`,
      [name.slice(1, -1).replaceAll('""', '"')],
    )
    return [
      finding('error', 'store-table', {
        what: `there is no table ${mapping.table} here (names are case-sensitive)`,
        meaning,
        fix: found.length > 0 ? ['# there is:', ...found.map((row) => `ORDERS_TABLE=${row.name}`)] : settings,
      }),
    ]
  }
  const id = rows.find(({ name }) => name === mapping.idColumn)
  const first = rows[0] as ColumnRow
  const table = `${quoteIdentifier(first.schema)}.${quoteIdentifier(first.relation)}`
  // The first line says that there is a list, the others are the list.
  const [, ...problems] = error.message.split('\n').map((line) => line.trim())
  return problems.map((what) =>
    finding('error', 'store-table', {
      what,
      meaning,
      fix:
        id && !id.is_unique && what.startsWith('ORDERS_ID_COLUMN: expected a primary key')
          ? `CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${quoteIdentifier(id.name)});`
          : settings,
    }),
  )
}

async function lookAtPermissions(context: TableContext): Promise<Finding[]> {
  const { database, columns, role, usesShopSql } = context
  const { table, id, status, deadline, paidAt, cancelledAt } = columns
  const outbox = `${quoteIdentifier(columns.schema)}.${quoteIdentifier(OUTBOX_TABLE)}`
  const read = [id, status, deadline?.sql, paidAt?.sql, cancelledAt?.sql].filter((name) => name !== undefined)
  const written = usesShopSql ? [] : [status, cancelledAt?.sql].filter((name) => name !== undefined)
  const { unread, unwritten, mayRecord, hides } = await one<{
    unread: string[]
    unwritten: string[]
    mayRecord: boolean
    hides: boolean
  }>(
    database,
    `SELECT ARRAY(SELECT c FROM unnest($2::text[]) c WHERE NOT has_column_privilege($1, btrim_ident(c), 'SELECT')) AS unread,
            ARRAY(SELECT c FROM unnest($3::text[]) c WHERE NOT has_column_privilege($1, btrim_ident(c), 'UPDATE')) AS unwritten,
            to_regclass($4) IS NULL OR has_table_privilege(to_regclass($4), 'INSERT') AS "mayRecord",
            row_security_active($1::regclass) AS hides`.replaceAll(
      'btrim_ident(c)',
      `replace(substr(c, 2, length(c) - 2), '""', '"')`,
    ),
    [table, read, written, outbox],
  )
  const list = (names: readonly string[]) => names.join(', ')
  const missing: [string, string][] = [
    ...(unread.length > 0
      ? ([[`read ${list(unread)}`, `GRANT SELECT (${list(read)}) ON ${table} TO ${role};`]] as [string, string][])
      : []),
    ...(unwritten.length > 0
      ? ([[`write ${list(unwritten)}`, `GRANT UPDATE (${list(written)}) ON ${table} TO ${role};`]] as [
          string,
          string,
        ][])
      : []),
    ...(mayRecord ? [] : ([['add to the outbox', `GRANT INSERT ON ${outbox} TO ${role};`]] as [string, string][])),
  ]
  const findings = [
    missing.length === 0
      ? finding('ok', 'store-permissions', { what: `the role ${role} may do what is needed` })
      : finding('error', 'store-permissions', {
          what: `the role ${role} may not ${missing.map(([what]) => what).join(', nor ')}`,
          meaning: 'The daemon does not start, or no order can be cancelled.',
          fix: missing.map(([, statement]) => statement),
        }),
  ]
  if (hides) {
    findings.push(
      finding('warning', 'store-row-security', {
        what: `row security is on for ${table}, and the role ${role} is subject to it`,
        meaning: 'Orders that its policies hide count as missing, and are never cancelled.',
        fix: ['# if the policies are not meant for it:', `ALTER ROLE ${role} BYPASSRLS;`],
      }),
    )
  }
  return findings
}

async function lookAtOutbox({ database, columns, usesShopSql }: TableContext): Promise<Finding[]> {
  const { outbox } = buildStatements(columns)
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [outbox])
  const findings: Finding[] = []
  if (rows.length === 0) {
    findings.push(
      finding('error', 'store-outbox', {
        what: `there is no table ${outbox}`,
        meaning: 'The daemon does not start: each cancellation adds its event there.',
        fix: 'order-expiry migrate',
      }),
    )
  } else {
    const missing = OUTBOX_COLUMNS.filter((name) => !rows.some((row) => row.name === name))
    findings.push(
      missing.length === 0
        ? finding('ok', 'store-outbox', { what: `${outbox} is as expected` })
        : finding('error', 'store-outbox', {
            what: `${outbox} has no ${missing.join(', ')}`,
            meaning: 'It is not our table, or an old one: no order can be cancelled.',
            fix: [`ALTER TABLE ${outbox} RENAME TO ${OUTBOX_TABLE}_old;`, 'order-expiry migrate'],
          }),
    )
    const backlog = await bounded<number>(database, async () => {
      const sql = `SELECT count(*)::int AS events FROM (SELECT FROM ${outbox} LIMIT ${MANY_EVENTS + 1}) o`
      return (await one<{ events: number }>(database, sql)).events
    })
    if (typeof backlog === 'number') {
      const size = backlog > MANY_EVENTS ? `more than ${count(MANY_EVENTS, 'event')}` : count(backlog, 'event')
      findings.push(finding('info', 'store-backlog', { what: `${size} in the outbox; nothing deletes them yet` }))
    }
  }
  if (usesShopSql) {
    findings.push(
      finding('info', 'store-cancel-sql', {
        what: 'orders are cancelled by your own statement (CANCEL_SQL_FILE)',
        meaning: 'It is checked when the daemon starts, not here.',
      }),
    )
  }
  return findings
}

async function lookAtTriggers({ database, columns }: TableContext): Promise<Finding[]> {
  const { rows } = await database.query<{ name: string }>(
    `SELECT 'trigger ' || quote_ident(tgname) AS name FROM pg_trigger
     WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype & 16) <> 0
     UNION ALL
     SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite
     WHERE ev_class = $1::regclass AND rulename <> '_RETURN' AND ev_enabled <> 'D' AND ev_type = '2'
     ORDER BY 1`,
    [columns.table],
  )
  if (rows.length === 0) return [finding('ok', 'store-triggers', { what: 'none runs when an order is cancelled' })]
  return [
    finding('info', 'store-triggers', {
      what: `runs when an order is cancelled: ${rows.map(({ name }) => name).join(', ')}`,
      meaning:
        'In the same transaction: what it raises keeps the order from being cancelled, what it waits for holds up others.',
    }),
  ]
}

async function lookAtIndexes(context: TableContext): Promise<Finding[]> {
  const { database, columns, mapping, watchesPayments } = context
  const { table, deadline, paidAt } = columns
  const { kind, broken } = await one<{ kind: string; broken: number }>(
    database,
    `SELECT c.relkind AS kind, (SELECT count(*) FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid
       WHERE x.indrelid = c.oid AND NOT x.indisvalid AND i.relname = ANY ($2))::int AS broken
     FROM pg_class c WHERE c.oid = $1::regclass`,
    [table, [SWEEP_INDEX, PAID_INDEX]],
  )
  if (!['r', 'p', 'm'].includes(kind)) {
    return [finding('info', 'store-index', { what: `${table} is no plain table: its indexes cannot be judged here` })]
  }
  // On a partitioned table an index cannot be built concurrently, and building it keeps writers waiting.
  const build = (statement: string) => [
    ...(broken > 0 ? ['# an earlier attempt was broken off and left an invalid index behind:'] : []),
    ...(broken > 0 ? [`DROP INDEX ${quoteIdentifier(columns.schema)}.${statement.split(' ')[3]};`] : []),
    kind === 'p' ? statement.replace(' CONCURRENTLY', '') : statement,
  ]
  const findings: Finding[] = []
  if (deadline) {
    findings.push(
      (await hasSweepIndex({ database, columns, mapping }))
        ? finding('ok', 'store-index', { what: `one on ${deadline.sql}, for the sweeper` })
        : finding('warning', 'store-index', {
            what: `there is none that the sweeper can use (first column ${deadline.sql}, for unpaid orders)`,
            meaning: 'Each sweep reads the whole table; when that takes longer than 10 s, nothing is swept.',
            fix: build(sweepIndexStatement(columns, mapping)),
          }),
    )
  }
  if (watchesPayments && paidAt) {
    const { rows: led } = await database.query(LED_BY_SQL, [table, unquote(paidAt.sql)])
    findings.push(
      led.length > 0
        ? finding('ok', 'store-paid-index', { what: `one on ${paidAt.sql}, for BRAKE_PAYMENT_SILENCE` })
        : finding('warning', 'store-paid-index', {
            what: `there is none on ${paidAt.sql}, for BRAKE_PAYMENT_SILENCE`,
            meaning: 'To find the latest payment the whole table is read, again and again.',
            fix: build(`CREATE INDEX CONCURRENTLY ${PAID_INDEX} ON ${table} (${paidAt.sql});`),
          }),
    )
  }
  return findings
}

const PAID_INDEX = 'order_expiry_paid'
const LED_BY_SQL = `
SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2 AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indisready AND m.amname = 'btree' AND i.indpred IS NULL LIMIT 1`

async function lookAtStatuses({ database, columns, mapping }: TableContext): Promise<Finding[]> {
  const { table, status, statusType } = columns
  const { unpaidStatuses, cancelledStatus } = mapping
  const seen = await bounded<Set<string>>(database, async () => {
    const { rows } = await database.query<{ status: string }>(
      `SELECT DISTINCT status FROM (
         SELECT unnest(most_common_vals::text::text[]) AS status FROM pg_stats
         WHERE schemaname || '' = $1 AND tablename = $2 AND attname = $3
         UNION ALL (SELECT ${status}::text FROM ${table} LIMIT ${SAMPLE})) s WHERE status IS NOT NULL LIMIT 200`,
      [columns.schema, unquote(table.slice(quoteIdentifier(columns.schema).length + 1)), unquote(status)],
    )
    return new Set(rows.map((row) => row.status))
  })
  if (seen === 'unknown') return [cannotTell('store-statuses', 'which statuses occur')]
  if (seen.size === 0) return [finding('info', 'store-statuses', { what: 'there is no order yet' })]

  let isUnknown = false
  for (const wanted of [...unpaidStatuses, cancelledStatus].filter((name) => !seen.has(name))) {
    const found = await bounded<boolean>(database, async () => {
      const sql = `SELECT EXISTS (SELECT FROM ${table} WHERE ${status} = $1::text::${statusType}) AS found`
      return (await one<{ found: boolean }>(database, sql, [wanted])).found
    })
    if (found === 'unknown') isUnknown = true
    else if (found) seen.add(wanted)
  }

  const findings = [
    ...unpaidStatuses.map((name) => ['ORDERS_UNPAID_STATUSES', name] as const),
    ['ORDERS_CANCELLED_STATUS', cancelledStatus] as const,
  ].flatMap(([setting, name]) => {
    const others = [...seen].filter(
      (other) => other !== cancelledStatus && !unpaidStatuses.includes(other) && looksLike(other, name),
    )
    if (others.length === 0) return []
    const isThere = seen.has(name)
    const value =
      setting === 'ORDERS_CANCELLED_STATUS'
        ? others[0]
        : [...unpaidStatuses.filter((one) => one !== name || isThere), ...others].join(',')
    return [
      finding('warning', 'store-statuses', {
        what: `${setting} has ${quoteLiteral(name)}, ${isThere ? 'the table has also' : 'the table has'} ${others.map(quoteLiteral).join(', ')}`,
        meaning:
          setting === 'ORDERS_CANCELLED_STATUS'
            ? 'Other programs may not take our cancelled orders for cancelled.'
            : 'Statuses are compared exactly: orders in the other one are never cancelled.',
        fix: ['# if they mean the same:', `${setting}=${value}`],
      }),
    ]
  })
  if (findings.length > 0) return findings
  const unpaid = unpaidStatuses.filter((name) => seen.has(name))
  if (unpaid.length > 0) return [finding('ok', 'store-statuses', { what: `orders with ${unpaid.join(', ')} occur` })]
  if (isUnknown) return [cannotTell('store-statuses', `whether there are orders with ${unpaidStatuses.join(', ')}`)]
  const others = [...seen].sort().slice(0, 10)
  return [
    finding('info', 'store-statuses', {
      what: `no order has ${unpaidStatuses.join(' or ')}; there are ${others.join(', ')}`,
      meaning: 'All right if none is unpaid now; else correct ORDERS_UNPAID_STATUSES.',
    }),
  ]
}

/** Another writing of the same word: other case, other separators, or one letter wrong, missing or too many. */
function looksLike(a: string, b: string): boolean {
  const [short, long] = [a, b]
    .map((text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, ''))
    .sort((x, y) => x.length - y.length) as [string, string]
  if (short === long) return true
  if (long.length - short.length > 1 || short.length < 5) return false
  let start = 0
  while (start < short.length && short[start] === long[start]) start++
  let end = 0
  while (end < short.length - start && short[short.length - 1 - end] === long[long.length - 1 - end]) end++
  return long.length - start - end <= 1
}

async function lookAtDeadlines({ database, columns, mapping }: TableContext): Promise<Finding[]> {
  const { table, status, statusType, deadline, paidAt } = columns
  if (!deadline) {
    return [
      finding('warning', 'store-deadlines', {
        what: 'ORDERS_DEADLINE_COLUMN is empty: only the jobs know the deadlines',
        meaning: 'The sweeper cannot see what is overdue: an order whose job Redis loses is never cancelled.',
        fix: '# add a timestamptz column, write it when an order is placed, and name it in ORDERS_DEADLINE_COLUMN',
      }),
    ]
  }
  const nulls = await bounded<number>(database, async () => {
    const found = await one<{ nulls: number }>(
      database,
      `SELECT count(*)::int AS nulls FROM (SELECT FROM ${table} o WHERE o.${status} = ANY ($1::${statusType}[])
       ${paidAt ? `AND o.${paidAt.sql} IS NULL` : ''} AND o.${deadline.sql} IS NULL LIMIT ${MANY_NULLS + 1}) o`,
      [mapping.unpaidStatuses],
    )
    return found.nulls
  })
  if (nulls === 'unknown') return [cannotTell('store-deadlines', 'whether unpaid orders without a deadline exist')]
  if (nulls === 0) return [finding('ok', 'store-deadlines', { what: 'every unpaid order has one' })]
  const size = nulls > MANY_NULLS ? `more than ${count(MANY_NULLS, 'unpaid order')}` : count(nulls, 'unpaid order')
  const where = `${status} IN (${mapping.unpaidStatuses.map(quoteLiteral).join(', ')})${paidAt ? ` AND ${paidAt.sql} IS NULL` : ''}`
  return [
    finding('warning', 'store-deadlines', {
      what: `${size} without a deadline`,
      meaning: 'The sweeper never cancels these; only a job that brings a deadline of its own does.',
      fix: [
        '# give them one, and write it when an order is placed:',
        `UPDATE ${table} SET ${deadline.sql} = now()${deadline.type === 'timestamp' ? " AT TIME ZONE 'UTC'" : ''} + interval '1 hour' WHERE ${where} AND ${deadline.sql} IS NULL;`,
      ],
    }),
  ]
}

async function lookAtOverdue({ database, columns, mapping }: TableContext): Promise<Finding[]> {
  if (!columns.deadline) return []
  const oldest = await bounded<number | undefined>(database, async () => {
    const { now } = await one<{ now: number }>(database, NOW_SQL)
    const values = [mapping.unpaidStatuses, now, null, null, 1]
    const { rows } = await database.query<{ deadline: number }>(buildStatements(columns).unpaidDueBefore, values)
    return rows[0] && now - rows[0].deadline
  })
  return [oldest === 'unknown' ? cannotTell('store-overdue', 'the oldest overdue order') : overdueFinding(oldest)]
}

const NOW_SQL = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now'

/** The row of a statement that has exactly one. */
async function one<Row extends object>(database: Database, sql: string, values: unknown[] = []): Promise<Row> {
  return (await database.query<Row>(sql, values)).rows[0] as Row
}

/** What a look at the rows shows, within {@link BOUND_MS} for each statement. */
async function bounded<T>(database: Database, look: () => Promise<T>): Promise<T | 'unknown'> {
  await database.query('BEGIN READ ONLY')
  try {
    await database.query(`SET LOCAL statement_timeout = ${BOUND_MS}`)
    return await look()
  } catch (error) {
    // Cancelled by the time-out, held up by a lock, or not allowed.
    if (['57014', '55P03', '42501'].includes(sqlStateOf(error) ?? '')) return 'unknown'
    throw error
  } finally {
    await database.query('ROLLBACK')
  }
}

function cannotTell(code: 'store-statuses' | 'store-deadlines' | 'store-overdue', what: string): Finding {
  return finding('info', code, {
    what: `could not tell ${what} within ${BOUND_MS / 1_000} s`,
    meaning: 'The table is large and has no index for it, or the database is busy.',
  })
}

/** The name that {@link quoteIdentifier} has quoted. */
function unquote(sql: string): string {
  return sql.slice(1, -1).replaceAll('""', '"')
}
