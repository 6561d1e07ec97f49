import { and, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgSchema, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { present, type ShopDatabase, type ShopOrm } from './shop-orm.ts'

export async function openDrizzle({ url, schema }: ShopDatabase): Promise<ShopOrm> {
  const pool = new pg.Pool({ connectionString: url })
  const db = drizzle(pool)
  const orders = pgSchema(schema).table('orders', {
    id: text().primaryKey(),
    status: text().notNull(),
    note: text(),
    version: integer().notNull(),
  })
  return {
    names: { db, orders, and, eq },
    async load(id) {
      const [loaded] = await db.select().from(orders).where(eq(orders.id, id))
      const order = present(loaded)
      const save = (changes: Partial<typeof order>) =>
        db
          .update(orders)
          .set({ ...order, ...changes })
          .where(eq(orders.id, id))
      return { order, confirm: () => save({ status: 'paid' }), annotate: () => save({ note: 'gift' }) }
    },
    close: () => pool.end(),
  }
}
