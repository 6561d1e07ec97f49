const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** How a duration is written, for messages to people. */
export const DURATION_FORMAT = 'a duration such as 250ms, 30s, 15m, 2h or 1d'

/** Milliseconds of `250ms`, `30s`, `15m`, `2h` or `1d` (whole numbers, one unit); undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text.trim())
  if (!match) return undefined
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]
}

/** The shortest writing of a duration that {@link parseDuration} reads back, e.g. `90s`, `15m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms !== 0 && ms % UNIT_MS[unit] === 0) return `${ms / UNIT_MS[unit]}${unit}`
  }
  return `${ms}ms`
}
