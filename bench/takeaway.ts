import { medianOf, medianRatio, mostOf } from './figures.ts'
import type { Measured } from './question.ts'
import { OURS } from './question-tables.ts'
import { formatNumber } from './table.ts'

/** What to remember of a whole run, in two sentences; undefined if it lacks something that they tell. */
export function takeaway(measured: readonly Measured[]): string | undefined {
  const burst = (key: string, contender = OURS) => ({ question: 'burst', contender, case: '', key })
  const times = (contender: string) =>
    medianRatio(measured, burst('settledPerSecond'), burst('settledPerSecond', contender))
  const told = {
    settled: medianOf(measured, burst('settledPerSecond')),
    cpu: medianOf(measured, burst('cpu')),
    wrong: mostOf(measured, burst('wrong')),
    bullmq: times('bullmq'),
    cron: times('cron'),
    late: highestP99(measured, OURS),
    cronLate: highestP99(measured, 'cron'),
  }
  if (!isWhole(told)) return undefined
  const { settled, cpu, wrong, bullmq, cron, late, cronLate } = told
  return (
    `When 50,000 orders fall due in the same second, this daemon settles ${formatNumber(settled)} a second, ${formatNumber(bullmq, 2)} times as fast as a plain ` +
    `BullMQ worker and ${formatNumber(cron, 2)} times as fast as a cron job's one UPDATE, for ${formatNumber(cpu)} µs of CPU an order in all, and ` +
    `${wrong === 0 ? 'decides none of them' : `${formatNumber(wrong)} of them are decided`} wrongly. ` +
    `At every rate up to ${rates(measured).at(-1)}, it cancels 99 of 100 orders within ${formatNumber(late, 1)} ms of their deadline; the cron job, which ` +
    `looks every second, takes ${formatNumber(cronLate)} ms.`
  )
}

function isWhole<T extends Record<string, number | undefined>>(told: T): told is T & Record<keyof T, number> {
  return Object.values(told).every((value) => value !== undefined && Number.isFinite(value))
}

/** Of the medians at all rates, in milliseconds. */
function highestP99(measured: readonly Measured[], contender: string): number {
  const p99s = rates(measured).map((rate) =>
    medianOf(measured, { question: 'lateness', contender, case: rate, key: 'p99' }),
  )
  return Math.max(...p99s.map((p99) => p99 ?? Number.NaN))
}

/** In the order in which they are measured, which is from the lowest to the highest. */
function rates(measured: readonly Measured[]): string[] {
  return [...new Set(measured.filter(({ question }) => question === 'lateness').map((one) => one.case))]
}
