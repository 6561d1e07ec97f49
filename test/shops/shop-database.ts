import pg from 'pg'
import { quoteIdentifier, quoteTable } from '../../src/stores/postgres/quoting.ts'
import { databaseUrl, uniqueName } from '../helpers/env.ts'
import type { Shop } from './shop.ts'

/** An order of a shop: what must become of it, and what has. */
export interface Row {
  id: string
  expect: 'cancelled' | 'kept' | 'later' | 'backlog' | 'unreadable'
  isCancelled: boolean
  /** Whether what has to be true for every cancelled row is true for it. */
  isAlso: boolean
  events: number
}

/** A shop in a database of its own. */
export class ShopDatabase {
  readonly #shop: Shop
  readonly #name: string
  readonly #client: pg.Client

  private constructor(shop: Shop, name: string) {
    this.#shop = shop
    this.#name = name
    this.#client = new pg.Client({ connectionString: urlOf(name) })
  }

  /** Resolves once its file has run. */
  static async create(shop: Shop): Promise<ShopDatabase> {
    const database = new ShopDatabase(shop, uniqueName('shop'))
    const name = quoteIdentifier(database.#name)
    await runIn(databaseUrl(), [`CREATE DATABASE ${name}`])
    try {
      await runIn(urlOf(database.#name), [shop.sql])
      await database.#client.connect()
      return database
    } catch (error) {
      await database.drop()
      throw error
    }
  }

  /** As whom the daemon connects. */
  get url(): string {
    return urlOf(this.#name, this.#shop.hasRole ? this.#name : undefined)
  }

  async rows(): Promise<Row[]> {
    const { cancelled, also, env } = this.#shop
    const table = quoteTable(env.ORDERS_TABLE ?? 'orders')
    const id = `${quoteIdentifier(env.ORDERS_ID_COLUMN ?? 'id')}::text`
    const { rows } = await this.#client.query<Row>(`
      SELECT ${id} AS id, expect, (${cancelled}) IS TRUE AS "isCancelled", (${also}) IS TRUE AS "isAlso",
             (SELECT count(*)::int FROM ${await this.#outbox()} e WHERE e.order_id = ${table}.${id}) AS events
      FROM ${table} ORDER BY 1`)
    return rows
  }

  /** Of any order, those of others included. */
  async events(): Promise<number> {
    const { rows } = await this.#client.query(`SELECT count(*)::int AS events FROM ${await this.#outbox()}`)
    return rows[0].events
  }

  /** Whether it is a plain table, in which the daemon's role may make an index. */
  async takesIndexes(): Promise<boolean> {
    const sql = `SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'r'`
    const { rows } = await this.#client.query(sql, [quoteTable(this.#shop.env.ORDERS_TABLE ?? 'orders')])
    return rows.length === 1 && !this.#shop.hasRole
  }

  async drop(): Promise<void> {
    await this.#client.end()
    const name = quoteIdentifier(this.#name)
    await runIn(databaseUrl(), [`DROP DATABASE ${name} WITH (FORCE)`, `DROP ROLE IF EXISTS ${name}`])
  }

  /** It lies beside the orders table. */
  async #outbox(): Promise<string> {
    const { ORDERS_TABLE = 'orders', OUTBOX_TABLE = 'order_expiry_outbox' } = this.#shop.env
    const sql = `SELECT relnamespace::regnamespace::text AS schema FROM pg_class WHERE oid = to_regclass($1)`
    const { rows } = await this.#client.query(sql, [quoteTable(ORDERS_TABLE)])
    return `${rows[0]?.schema}.${OUTBOX_TABLE}`
  }
}

function urlOf(database: string, role?: string): string {
  const url = new URL(databaseUrl())
  url.pathname = database
  if (role) url.username = role
  return url.href
}

/** On a connection of its own, since a shop may set things for its session. */
async function runIn(connectionString: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
