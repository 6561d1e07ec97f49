import { DataSource, EntitySchema } from 'typeorm'
import { present, type ShopDatabase, type ShopOrm } from './shop-orm.ts'

interface Order {
  id: string
  status: string
  note: string | null
  version: number
}

const orderSchema = new EntitySchema<Order>({
  name: 'orders',
  columns: {
    id: { type: 'text', primary: true },
    status: { type: 'text' },
    note: { type: 'text', nullable: true },
    version: { type: 'int', version: true },
  },
})

export async function openTypeOrm({ url, schema }: ShopDatabase): Promise<ShopOrm> {
  const source = await new DataSource({ type: 'postgres', url, schema, entities: [orderSchema] }).initialize()
  const orders = source.getRepository(orderSchema)
  return {
    names: { orders },
    async load(id) {
      const order = present(await orders.findOneBy({ id }))
      return {
        order,
        confirm: () => orders.save(Object.assign(order, { status: 'paid' })),
        annotate: () => orders.save(Object.assign(order, { note: 'gift' })),
      }
    },
    close: () => source.destroy(),
  }
}
