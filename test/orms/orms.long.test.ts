import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { databaseUrl } from '../helpers/env.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { callOf, ORDERS_SET, run, TRIGGER } from './docs.ts'
import { openDrizzle } from './drizzle.ts'
import { openPrisma } from './prisma.ts'
import { openSequelize } from './sequelize.ts'
import type { LoadedOrder, ShopOrm } from './shop-orm.ts'
import { openTypeOrm } from './typeorm.ts'

/*
 * An application loads an order, order-expiry cancels it, and the application saves it: as shops do, and as docs/orms.md
 * says, whose own lines are run here.
 */

const BY_STATUS = 'Let the statement decide'
const BY_VERSION = 'Optimistic versions'
const id = '1'

let table: OrdersTable
let store: PostgresStore
/** The same, with the ORDERS_SET of the docs. */
let raisingStore: PostgresStore
beforeAll(async () => {
  table = await OrdersTable.create({ idType: 'text', paidAt: false })
  await table.migrate()
  await table.pool.query(
    'ALTER TABLE orders ADD version integer NOT NULL DEFAULT 1, ADD updated_at timestamptz NOT NULL DEFAULT now()',
  )
  store = await PostgresStore.open(table.storeOptions())
  raisingStore = await PostgresStore.open(table.storeOptions({ settings: { ORDERS_SET } }))
})
afterAll(async () => {
  await store.close()
  await raisingStore.close()
  await table.drop()
})
beforeEach(async () => {
  await table.pool.query('TRUNCATE orders')
  await table.insert([{ id, deadline: Date.now() - 1_000 }])
})

async function cancel(by = store): Promise<void> {
  expect(await by.cancelUnpaid([{ orderId: id, deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
}

const ORMS = {
  Prisma: { open: openPrisma, rewritesAll: true },
  TypeORM: { open: openTypeOrm, rewritesAll: true },
  Sequelize: { open: openSequelize, rewritesAll: false },
  Drizzle: { open: openDrizzle, rewritesAll: true },
}

describe.each(Object.entries(ORMS))('%s', (name, { open, rewritesAll }) => {
  let orm: ShopOrm
  let loaded: LoadedOrder
  beforeAll(async () => {
    orm = await open({ url: databaseUrl(), schema: table.schema })
  })
  afterAll(() => orm.close())
  beforeEach(async () => {
    loaded = await orm.load(id)
  })

  describe('without what the docs say', () => {
    test('a save after the cancellation pays the cancelled order', async () => {
      await cancel()
      await loaded.confirm()
      expect(await table.statusOf(id)).toBe('paid')
    })

    test(`a note that is saved ${rewritesAll ? 'makes it pending again' : 'does no harm'}`, async () => {
      await cancel()
      await loaded.annotate()
      expect(await table.statusOf(id)).toBe(rewritesAll ? 'pending' : 'cancelled')
    })

    test('a version that the cancellation did not raise protects nothing', async () => {
      await cancel()
      await byVersion()
      expect(await table.statusOf(id)).toBe('paid')
    })
  })

  describe('the conditional call', () => {
    test('pays a pending order, and says so', async () => {
      expect(await byStatus()).toBe(1)
      expect(await table.statusOf(id)).toBe('paid')
    })

    test('leaves a cancelled order alone, and says so', async () => {
      await cancel()
      expect(await byStatus()).toBe(0)
      expect(await table.statusOf(id)).toBe('cancelled')
    })
  })

  describe('the version', () => {
    test('lets a save through that nobody came before', async () => {
      await byVersion()
      expect(await table.statusOf(id)).toBe('paid')
    })

    test('raised by ORDERS_SET, stops a save after the cancellation, which hears of it', async () => {
      await cancel(raisingStore)
      await expectStopped()
      expect(await table.statusOf(id)).toBe('cancelled')
    })
  })

  describe('the trigger', () => {
    beforeEach(() => table.pool.query(TRIGGER))
    afterEach(() => table.pool.query('DROP FUNCTION refuse_to_revive_order CASCADE'))

    test('lets the cancellation through, and refuses the save after it', async () => {
      await cancel()
      await expect(loaded.confirm()).rejects.toThrow()
      expect(await table.statusOf(id)).toBe('cancelled')
    })
  })

  /** The count of the conditional call, found as the docs say. */
  async function byStatus(): Promise<unknown> {
    const { code, verdict } = callOf(name, { section: BY_STATUS })
    const result = await run(code, { ...orm.names, id })
    return run(verdict.replaceAll('`', ''), { result })
  }

  async function byVersion(): Promise<unknown> {
    const { code } = callOf(name, { section: BY_VERSION })
    return run(code, { ...orm.names, id, order: loaded.order })
  }

  /** The save by the version fails, as the docs say. */
  async function expectStopped(): Promise<void> {
    const { verdict } = callOf(name, { section: BY_VERSION })
    const [, thrown] = /^throws `(\w+)`$/.exec(verdict) ?? []
    const [, count] = /^`(.+)` is 0$/.exec(verdict) ?? []
    if (thrown) await expect(byVersion()).rejects.toMatchObject({ [/^P\d+$/.test(thrown) ? 'code' : 'name']: thrown })
    else expect(await run(count ?? '', { result: await byVersion() })).toBe(0)
  }
})

test("TypeORM's save() does not compare the version", async () => {
  const orm = await openTypeOrm({ url: databaseUrl(), schema: table.schema })
  try {
    const loaded = await orm.load(id)
    await cancel(raisingStore)
    await loaded.confirm()
    expect(await table.statusOf(id)).toBe('paid')
  } finally {
    await orm.close()
  }
})
