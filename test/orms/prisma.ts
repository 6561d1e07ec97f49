import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '@prisma/client'
import { present, type ShopDatabase, type ShopOrm } from './shop-orm.ts'

export async function openPrisma({ url, schema }: ShopDatabase): Promise<ShopOrm> {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }, { schema }) })
  return {
    names: { prisma },
    async load(id) {
      const order = present(await prisma.order.findUnique({ where: { id } }))
      return {
        order,
        confirm: () => prisma.order.update({ where: { id }, data: { ...order, status: 'paid' } }),
        annotate: () => prisma.order.update({ where: { id }, data: { ...order, note: 'gift' } }),
      }
    },
    close: () => prisma.$disconnect(),
  }
}
