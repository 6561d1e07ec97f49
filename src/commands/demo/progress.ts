import type { CommandContext } from '../context.ts'

const BAR_WIDTH = 30
const REDRAW_MS = 100
const LOG_MS = 1_000

/** Shows how far the demo is: one line that is redrawn in a terminal, a plain line each second elsewhere. */
export function createProgress({ clock, stdout, print }: CommandContext, orders: number) {
  const counts = { placed: 0, paid: 0, cancelled: 0, kept: 0 }
  const startedAt = clock.now()
  let shownAt = 0

  const done = () => counts.cancelled + counts.kept

  function line(): string {
    const { placed, paid, cancelled, kept } = counts
    const text = `placed ${placed}  paid ${paid}  cancelled ${cancelled}  kept ${kept}`
    const elapsed = `${((clock.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s`
    if (!stdout.isTTY) return `${elapsed}  ${text}  (${done()} of ${orders} checks done)`
    // One row at most, or redrawing would leave the rest of each line behind.
    const room = (stdout.columns || 80) - 1
    const width = Math.max(0, Math.min(BAR_WIDTH, room - elapsed.length - text.length - 4))
    const filled = Math.floor((done() / orders) * width)
    return `${elapsed}  ${'█'.repeat(filled)}${'░'.repeat(width - filled)}  ${text}`.slice(0, room)
  }

  function show(): void {
    shownAt = clock.now()
    if (stdout.isTTY) stdout.write(`\r\u001b[K${line()}`)
    else print(line())
  }

  return {
    add(name: keyof typeof counts, amount = 1): void {
      counts[name] += amount
      if (clock.now() - shownAt >= (stdout.isTTY ? REDRAW_MS : LOG_MS)) show()
    },
    done,
    end(): void {
      show()
      print('')
    },
  }
}
