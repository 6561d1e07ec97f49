import type { CommandContext } from '../context.ts'

interface Progress {
  placed(count: number): void
  paid(): void
  finished(outcome: string): void
  end(): void
}

const BAR_WIDTH = 30
const REDRAW_MS = 100
const LOG_MS = 1_000

/** Shows how far the demo is: one line that is redrawn in a terminal, a plain line each second elsewhere. */
export function createProgress(options: { context: CommandContext; orders: number }): Progress {
  const { context, orders } = options
  const { clock, stdout, print } = context
  const seen = { placed: 0, paid: 0, cancelled: 0, kept: 0 }
  const startedAt = clock.now()
  let shownAt = 0

  function line(): string {
    const done = seen.cancelled + seen.kept
    const { placed, paid, cancelled, kept } = seen
    const counts = `placed ${placed}  paid ${paid}  cancelled ${cancelled}  kept ${kept}`
    const elapsed = `${((clock.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s`
    if (!stdout.isTTY) return `${elapsed}  ${counts}  (${done} of ${orders} checks done)`
    // One row at most, or the redrawing would leave the rest of each line behind.
    const room = (stdout.columns || 80) - 1
    const width = Math.max(0, Math.min(BAR_WIDTH, room - elapsed.length - counts.length - 4))
    const filled = Math.floor((done / orders) * width)
    return `${elapsed}  ${'█'.repeat(filled)}${'░'.repeat(width - filled)}  ${counts}`.slice(0, room)
  }

  function show(now: boolean): void {
    if (!now && clock.now() - shownAt < (stdout.isTTY ? REDRAW_MS : LOG_MS)) return
    shownAt = clock.now()
    if (stdout.isTTY) stdout.write(`\r\u001b[K${line()}`)
    else print(line())
  }

  return {
    placed(count) {
      seen.placed = count
      show(true)
    },
    paid() {
      seen.paid++
      show(false)
    },
    finished(outcome) {
      if (outcome === 'cancelled') seen.cancelled++
      else seen.kept++
      show(false)
    },
    end() {
      show(true)
      print('')
    },
  }
}
