import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** A file of this folder, and what its header says; README.md explains it. */
export interface Shop {
  name: string
  sql: string
  /** The settings that fit the daemon to it, in their order. */
  env: Record<string, string>
  /** SQL that is true for a row that was cancelled. */
  cancelled: string
  /** SQL that has to be true for every cancelled row as well. */
  also: string
  /** Whether the daemon connects as a role of its own, which the file makes. */
  hasRole: boolean
}

const OWN = 'test/shops'
/** Where whoever files an issue may put further shops. */
const SHARED = '../shared/shops'

/** They are part of `npm test`: between them, they have most settings. The others are long tests. */
export const QUICK_SHOPS: readonly string[] = ['mall', 'seats-epoch']

/** All of them. */
export function readShops(): Shop[] {
  const own = filesIn(OWN).map(readShop)
  const further = filesIn(SHARED).map(readShop)
  return [...own, ...further.filter(({ sql }) => own.every((shop) => shop.sql !== sql))]
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'))
  return names.sort().map((name) => join(folder, name))
}

function readShop(path: string): Shop {
  const sql = readFileSync(path, 'utf8')
  const all = (what: string) => [...sql.matchAll(new RegExp(`^-- ${what} (.*)$`, 'gm'))].map(([, text = '']) => text)
  const [cancelled] = all('cancelled')
  if (!cancelled) throw new Error(`${path}: expected a line "-- cancelled EXPRESSION"`)
  const env = all('env').map((line): [string, string] => {
    const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? []
    return [name, value]
  })
  return {
    name: basename(path, '.sql'),
    sql,
    env: Object.fromEntries(env),
    cancelled,
    also:
      all('also')
        .map((expression) => `(${expression})`)
        .join(' AND ') || 'true',
    hasRole: /^-- role$/m.test(sql),
  }
}
