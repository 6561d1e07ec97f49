import { test } from '@jest/globals'
import { runShop } from './run-shop.ts'
import { QUICK_SHOPS, readShops } from './shop.ts'

const shops = readShops().filter(({ name }) => QUICK_SHOPS.includes(name))

test.concurrent.each(shops)('$name: each order is as the shop says after the first start', runShop, 180_000)
