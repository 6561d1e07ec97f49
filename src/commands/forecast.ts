import { Command } from 'commander'
import { withQueueView } from '../daemon/with-redis.ts'
import { MINUTE_MS } from '../observe/minutes.ts'
import type { Forecast } from '../observe/vitals.ts'
import { number } from '../runtime/human-numbers.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

const BAR_WIDTH = 50
/** Minutes that share a line. */
const STEP_MINUTES = 3

/** `order-expiry forecast`: how many checks are coming, as numbers and as bars. */
export function forecastCommand(context: CommandContext): Command {
  const command = new Command('forecast').description('how many orders fall due within the next minutes')
  return printsResult(context, command, async () => {
    const config = context.readConfig()
    const forecast = await withQueueView({ config, clock: context.clock }, (view) => view.forecast())
    return { result: { ...forecast, at: new Date(forecast.at) }, lines: drawForecast(forecast) }
  })
}

/** Lines for a terminal. */
export function drawForecast({ at, due, within, minutes }: Forecast): string[] {
  const sums = Object.entries(within).map(([horizon, count]) => `within ${horizon}: ${number(count)}`)
  const groups = Array.from({ length: Math.ceil(minutes.length / STEP_MINUTES) }, (_, n) =>
    minutes.slice(n * STEP_MINUTES, (n + 1) * STEP_MINUTES).reduce((sum, count) => sum + count, 0),
  )
  const most = Math.max(1, ...groups)
  const widest = Math.max(...groups.map((count) => number(count).length))
  const bars = groups.map((count, n) => {
    const from = new Date(at + n * STEP_MINUTES * MINUTE_MS).toISOString().slice(11, 16)
    const length = Math.ceil((count / most) * BAR_WIDTH)
    return `${from}  ${number(count).padStart(widest)}  ${'█'.repeat(length)}`.trimEnd()
  })
  const heading = `upcoming checks per ${STEP_MINUTES} minutes, starting at (UTC)`
  return [`due now: ${number(due)}   ${sums.join('   ')}`, '', heading, ...bars]
}
