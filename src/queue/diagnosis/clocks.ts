import { type Finding, finding, ok } from '../../doctor/finding.ts'
import type { ClockOffsets } from '../../observe/clock-offsets.ts'
import { clockDifference } from '../../runtime/human-numbers.ts'

const BADLY_OFF_MS = 30_000

/** What running processes say of their own clocks, which are not the one here. */
export function lookAtClocks({ clocks }: { clocks: ReadonlyMap<string, ClockOffsets> | undefined }): Finding {
  if (!clocks) return finding('info', 'queue-clocks', { what: 'what processes report cannot be read here' })
  if (clocks.size === 0) return ok('queue-clocks', 'no process reports that its clock differs from others')
  const offsets = [...clocks.values()].flatMap(({ redis = 0, store = 0 }) => [redis, store, store - redis])
  const isBad = offsets.some((ms) => Math.abs(ms) > BADLY_OFF_MS)
  return finding(isBad ? 'error' : 'warning', 'queue-clocks', {
    what: Array.from(clocks, ([by, { redis, store }]) => {
      const of = [describe('Redis', redis), describe('the order store', store)]
      return `for ${by}, ${of.filter((one) => one !== undefined).join(', ')}`
    }).join('; '),
    meaning:
      'Checks run by the clock of Redis, orders are cancelled by that of the order store: where these two differ, checks run that much early and are repeated, or run late. The clock of the process itself decides neither.',
    fix: ['# set all clocks by NTP; on the machine whose clock is wrong:', 'timedatectl set-ntp true'],
  })
}

function describe(whose: string, offsetMs: number | undefined): string | undefined {
  if (offsetMs === undefined) return undefined
  if (offsetMs === 0) return `the clock of ${whose} agrees`
  return `the clock of ${whose} is ${clockDifference(Math.abs(offsetMs))} ${offsetMs < 0 ? 'behind' : 'ahead'}`
}
