import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A figure of the house. */
interface Figure {
  what: string
  value: number
  /** Its bound. */
  most: number
  /** What counts towards it, such as `order/settle.ts:45 createSettle 63`, the largest first. */
  list: string[]
}

const SCRIPT = fileURLToPath(new URL('../../scripts/house.mjs', import.meta.url))

/** Measures src, or sources by their paths below it, as `npm run house` does; but not what takes a Redis. */
export function measureHouse(files?: Readonly<Record<string, string>>): Figure[] {
  const options = files ? ['--json', '--stdin'] : ['--json']
  return JSON.parse(
    execFileSync(process.execPath, [SCRIPT, ...options], { input: JSON.stringify(files ?? {}), encoding: 'utf8' }),
  )
}
