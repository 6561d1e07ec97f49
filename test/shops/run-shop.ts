import { expect } from '@jest/globals'
import { DaemonProcess, type LogLine, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import type { Shop } from './shop.ts'
import { type Row, ShopDatabase } from './shop-database.ts'

/** Within this time after the start, every row is as its file says. */
const SETTLED_WITHIN_MS = 10_000
/** What the daemon and doctor may call an error: what they are to tell of, and never to cancel. */
const TOLD = /unreadable|backlog/i

interface Finding {
  level: string
  code: string
  what: string
  meaning?: string
}

/** The whole way of a shop's first day: its table as it is, `migrate`, `start`, until its orders are settled. */
export async function runShop(shop: Shop): Promise<void> {
  const database = await ShopDatabase.create(shop)
  try {
    const env = {
      ...shop.env,
      REDIS_URL: redisUrl(),
      QUEUE_NAME: uniqueName(shop.name),
      ORDER_STORE: 'postgres',
      DATABASE_URL: database.url,
    }
    await succeed(['migrate'], env)
    const daemon = await DaemonProcess.start(env)
    try {
      await expectSettled(database)
      await expectSetAside(env, await database.rows())
      await expectFineCommands(env)
      await expectAsItSays(database)
      expect(daemon.logs.filter(isUnexpected)).toEqual([])
    } finally {
      expect(await daemon.stop()).toBe(0)
    }
    if (await database.takesIndexes()) await expectIndex(env)
  } finally {
    await database.drop()
  }
}

async function expectSettled(database: ShopDatabase): Promise<void> {
  await eventually(
    'every order that is due and unpaid is cancelled',
    async () => (await database.rows()).every(({ expect, isCancelled }) => isCancelled || expect !== 'cancelled'),
    SETTLED_WITHIN_MS,
  )
}

/** A whole sweep has come after all deadlines, so what has not been cancelled by now is left alone. */
async function expectAsItSays(database: ShopDatabase): Promise<void> {
  const rows = await database.rows()
  expect(summary(rows.filter(isOtherwise))).toEqual([])
  expect(await database.events()).toBe(rows.filter(({ isCancelled }) => isCancelled).length)
}

function isOtherwise(row: Row): boolean {
  if (row.expect === 'cancelled') return !(row.isCancelled && row.isAlso && row.events === 1)
  return row.isCancelled || row.events > 0
}

/** A line for each kind of row, with one of them. */
function summary(rows: readonly Row[]): string[] {
  const kinds = new Map<string, string[]>()
  for (const { id, ...row } of rows) kinds.set(JSON.stringify(row), [...(kinds.get(JSON.stringify(row)) ?? []), id])
  return [...kinds].map(([kind, ids]) => `${ids.length} such as ${ids[0]}: ${kind}`)
}

/** Sweeps to the end, which tells of each order that nobody cancels. */
async function expectSetAside(env: Record<string, string>, rows: readonly Row[]): Promise<void> {
  const { error, setAside } = JSON.parse((await runCli(['sweep', '--json'], { env })).stdout)
  const told = { backlog: setAside?.backlog.orders ?? 0, unreadable: setAside?.unreadable.orders ?? 0 }
  const count = (kind: Row['expect']) => rows.filter((row) => row.expect === kind).length
  expect({ error, ...told }).toEqual({ backlog: count('backlog'), unreadable: count('unreadable') })
}

async function expectFineCommands(env: Record<string, string>): Promise<void> {
  expect(JSON.parse(await succeed(['check', '--json'], env))).toMatchObject({ ORDER_STORE: 'postgres' })
  const report = await runCli(['doctor', '--json'], { env })
  const { errors, findings } = JSON.parse(report.stdout) as { errors: number; findings: Finding[] }
  expect(findings.filter(isError)).toEqual([])
  const code = errors > 0 ? 1 : 0
  expect(report).toMatchObject({ code, stderr: '' })
  // And for people.
  expect(await runCli(['check'], { env })).toMatchObject({ code: 0, stderr: '' })
  expect(await runCli(['doctor'], { env })).toMatchObject({ code, stderr: '' })
}

/** An error that this shop's rows do not call for. */
function isError({ level, what, meaning }: Finding): boolean {
  return level === 'error' && !TOLD.test(`${what} ${meaning}`)
}

/** The index that `migrate --index` makes is the one that doctor looks for, whatever the settings. */
async function expectIndex(env: Record<string, string>): Promise<void> {
  await succeed(['migrate', '--index'], env)
  const { findings } = JSON.parse((await runCli(['doctor', '--json'], { env })).stdout) as { findings: Finding[] }
  expect(findings.find(({ code }) => code === 'store-index')).toMatchObject({ level: 'ok' })
}

function isUnexpected(line: LogLine): boolean {
  return ['error', 'fatal'].includes(line.level) && !TOLD.test(JSON.stringify(line))
}

/** @returns what it printed */
async function succeed(args: readonly string[], env: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, { env })
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' })
  return stdout
}
