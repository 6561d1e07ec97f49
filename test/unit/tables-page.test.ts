import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import dotenv from 'dotenv'
import { SETTINGS } from '../../src/config.ts'
import { readShops } from '../shops/shop.ts'

const page = readFileSync('docs/tables.md', 'utf8')
/** The settings printed on the page, with the file that they are tested with. */
const blocks = [...page.matchAll(/^<!-- (.+) -->\n```ini\n([\s\S]*?)^```$/gm)].map(([, from = '', lines = '']) => ({
  shop: /^test\/shops\/(.+)\.sql$/.exec(from)?.[1],
  env: dotenv.parse(lines),
}))
const MOST_LINES = 15
const own = readShops().filter(({ name }) => readdirSync('test/shops').includes(`${name}.sql`))

test('each shop of the suite has a recipe, with its settings as .env has them', () => {
  const printed = blocks.flatMap(({ shop, env }) => (shop ? [[shop, env]] : []))
  const tested = own.map(({ name, env }) => [name, env])
  expect(Object.fromEntries(printed)).toEqual(Object.fromEntries(tested))
  expect(printed).toHaveLength(tested.length)
})

test('all settings are printed as what a test has tried, or name a reason why not', () => {
  expect(page.match(/^```ini$/gm)).toHaveLength(blocks.length)
  expect(blocks.filter(({ shop }) => shop === undefined)).toEqual([{ env: { ORDERS_DEADLINE_COLUMN: '' } }])
})

test('every name in capitals with ORDERS_ or OUTBOX_ is a setting', () => {
  const names = new Set(page.match(/\b(ORDERS|OUTBOX)_[A-Z_]+\b/g))
  expect([...names].filter((name) => !Object.hasOwn(SETTINGS, name))).toEqual([])
})

test(`a block of settings with its words has at most ${MOST_LINES} lines, but for blank ones`, () => {
  const recipes = page.split(/^### /m).slice(1)
  const parts = recipes.flatMap((recipe) => recipe.split(/(?<=^```ini\n[\s\S]*?^```\n)/m))
  expect(parts.filter((part) => part.split('\n').filter((line) => line !== '').length > MOST_LINES)).toEqual([])
})

test('the table of contents leads to every recipe', () => {
  const anchor = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-')
  const recipes = [...page.matchAll(/^### (.+)$/gm)].map(([, heading = '']) => anchor(heading))
  const linked = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, to]) => to)
  expect(recipes.filter((recipe) => !linked.includes(recipe))).toEqual([])
  expect(linked.filter((to) => ![...recipes, 'the-first-start'].includes(to ?? ''))).toEqual([])
})
