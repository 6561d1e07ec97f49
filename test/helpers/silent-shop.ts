import { openShop } from './open-shop.ts'
import type { OrdersTable } from './orders-table.ts'

/** A shop that only inserts rows: nobody ever asks for a check. */
export async function openSilentShop() {
  const shop = await openShop()
  const statuses = async () =>
    Object.fromEntries(
      (await shop.table.pool.query('SELECT id::text, status FROM orders ORDER BY id')).rows.map(({ id, status }) => [
        id,
        status,
      ]),
    )
  return { ...shop, statuses }
}

/** Before each update of an order, `what` is done, in PL/pgSQL. */
export async function onUpdate(table: OrdersTable, what: string): Promise<void> {
  await table.pool.query(`
    CREATE FUNCTION ${table.schema}.on_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${what} RETURN NEW; END $$;
    CREATE TRIGGER on_update BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION ${table.schema}.on_update()`)
}
