import { DataTypes, Sequelize } from 'sequelize'
import { present, type ShopDatabase, type ShopOrm } from './shop-orm.ts'

export async function openSequelize({ url, schema }: ShopDatabase): Promise<ShopOrm> {
  const sequelize = new Sequelize(url, { logging: false, define: { schema, timestamps: false } })
  const columns = {
    id: { type: DataTypes.TEXT, primaryKey: true },
    status: DataTypes.TEXT,
    note: DataTypes.TEXT,
  }
  const PlainOrder = sequelize.define('PlainOrder', columns, { tableName: 'orders' })
  const Order = sequelize.define('Order', columns, { tableName: 'orders', version: true })
  return {
    names: { Order },
    async load(id) {
      const plain = present(await PlainOrder.findByPk(id))
      return {
        order: present(await Order.findByPk(id)),
        confirm: () => plain.update({ status: 'paid' }),
        annotate: () => plain.update({ note: 'gift' }),
      }
    },
    close: () => sequelize.close(),
  }
}
