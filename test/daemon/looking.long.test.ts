import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { runCli } from '../helpers/daemon.ts'
import { openShop } from '../helpers/open-shop.ts'

const LOOKS = [
  ['show', '1'],
  ['explain', '1'],
  ['sweep', '--dry-run'],
  ['forecast'],
  ['doctor'],
  ['check'],
  ['brake', 'status'],
  ['migrate', '--dry-run'],
]

/** A shop that writes down whatever is run, planned or written, and a statement of its own that would tell. */
async function openWatchedShop() {
  const { table, env } = await openShop()
  const { schema } = table
  await table.insert([{ id: '1', deadline: Date.now() - 5_000 }])
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-look-'))
  closing.push(() => rmSync(dir, { recursive: true }))
  // Evaluated as soon as the statement is planned.
  await table.pool.query(`
    CREATE SEQUENCE ${schema}.ran;
    CREATE FUNCTION ${schema}.tell() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
      BEGIN PERFORM nextval('${schema}.ran'); RETURN 'cancelled'; END $$`)
  const statement = `UPDATE ${schema}.orders SET status = ${schema}.tell() WHERE id::text = ANY ($1) AND $2::float8[] IS NOT NULL
    RETURNING id, 'cancelled' AS outcome, NULL AS until`
  const path = join(dir, 'cancel.sql')
  writeFileSync(path, statement)
  const wasRun = async () =>
    (await table.pool.query(`SELECT is_called FROM ${schema}.ran`)).rows[0].is_called as boolean
  return { table, env: { ...env, CANCEL_SQL_FILE: path }, path, wasRun }
}

test("commands that only look neither run nor prepare the shop's statement, and need it not be right", async () => {
  const { env, path, wasRun } = await openWatchedShop()
  for (const args of LOOKS) await runCli(args, { env })
  expect(await wasRun()).toBe(false)
  writeFileSync(path, 'DROP TABLE orders') // takes no parameters, and would be refused
  for (const args of LOOKS.slice(0, 3)) {
    expect([args, await runCli(args, { env })]).toEqual([args, expect.objectContaining({ code: 0, stderr: '' })])
  }
  expect((await runCli(['sweep'], { env })).code).toBe(1)
})

test('they write nothing, and work for a role that may only read', async () => {
  const { table, env } = await openShop()
  await table.insert([{ id: '1', deadline: Date.now() - 5_000 }])
  const role = `${table.schema}_reader`
  await table.pool.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${table.schema} TO ${role};
    GRANT SELECT ON ALL TABLES IN SCHEMA ${table.schema} TO ${role}`)
  closing.push(() => table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).then(() => {}))
  const url = new URL(env.DATABASE_URL as string)
  url.username = role
  for (const args of [
    ['show', '1'],
    ['explain', '1'],
    ['sweep', '--dry-run'],
  ]) {
    const found = await runCli(args, { env: { ...env, DATABASE_URL: url.href } })
    expect([args, found]).toEqual([args, expect.objectContaining({ code: 0, stderr: '' })])
  }
})

test('the database refuses a write of theirs, even from a function that only seems to read', async () => {
  const { table, env } = await openShop()
  const { schema, pool } = table
  await table.insert([{ id: '1', deadline: Date.now() - 5_000 }])
  await pool.query(`CREATE TABLE ${schema}.spied (id int);
    CREATE FUNCTION ${schema}.spy() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ${schema}.spied VALUES (1); RETURN 1; END $$;
    CREATE FUNCTION ${schema}.is_open(text) RETURNS boolean STABLE LANGUAGE plpgsql AS $$
      BEGIN PERFORM ${schema}.spy(); RETURN true; END $$`)
  const conditional = { ...env, ORDERS_CONDITION: `${schema}.is_open(id::text)` }
  for (const args of LOOKS) await runCli(args, { env: conditional })
  expect((await pool.query(`SELECT FROM ${schema}.spied`)).rowCount).toBe(0)
})
