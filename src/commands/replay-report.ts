import type { GivenUp, Replay } from '../queue/replay/replay.ts'
import { NEVER_SUCCEED } from '../queue/replay/selection.ts'
import { number } from '../runtime/human-numbers.ts'

const LONGEST_TEXT = 200

/** What `replay` prints on standard output. A dry run prints each check as it is found, so that many need no memory. */
export function createReplayReport(options: { print: (line: string) => void; dryRun: boolean; json: boolean }) {
  const { print, dryRun, json } = options
  // The last line is held back: only the next one shows whether a comma follows.
  let held: string | undefined
  return {
    found({ jobId, code, failedReason = '' }: GivenUp) {
      if (!dryRun) return
      if (!json) return print(`${cut(jobId)}  ${cut(failedReason) || code}`)
      if (held === undefined) ['{', '  "checks": ['].forEach(print)
      else print(`${held},`)
      held = `    ${JSON.stringify({ jobId, code, failedReason })}`
    },
    end(result: Replay) {
      if (!json) return describe(result, dryRun).forEach(print)
      const { error, ...counts } = result
      const rest = { dryRun, ...counts, ...(error && { error: { code: error.code, message: error.message } }) }
      const lines = JSON.stringify(rest, null, 2).split('\n')
      if (!dryRun) return lines.forEach(print)
      const checks = held === undefined ? ['{', '  "checks": [],'] : [held, '  ],']
      checks.forEach(print)
      lines.slice(1).forEach(print)
    },
  }
}

function describe(replay: Replay, dryRun: boolean): string[] {
  const { failed, found, replayed, byCode, gone, leftOut, orders, stopped } = replay
  const resultOf = (result: string) => (result === 'missing' ? 'no failed check' : result)
  const lines = (orders ?? []).map(({ orderId, result }) => row(orderId, resultOf(result)))
  const [done, what] = dryRun ? [found, 'would replay'] : [replayed, 'replayed']
  lines.push(row(what, `${number(done)} of ${number(failed)} failed`))
  for (const [code, many] of Object.entries(byCode)) lines.push(row(`  ${code}`, number(many)))
  if (gone > 0) lines.push(row('gone', `${number(gone)}, replayed or removed by somebody else meanwhile`))
  for (const code of NEVER_SUCCEED) {
    const advice = `${code}: bad data; edit the jobs, then replay --code ${code}`
    if (leftOut[code]) lines.push(row('left out', `${number(leftOut[code])} ${advice}`))
  }
  if (stopped) lines.push(row('stopped', 'before the end; run it again to continue'))
  return lines
}

function row(name: string, value: string): string {
  return `${cut(name).padEnd(20)}  ${value}`
}

/** Ids and reasons come from other programs, and may have any length. */
function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text
}
