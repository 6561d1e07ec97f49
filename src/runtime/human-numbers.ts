/** `1,001`. */
export function number(n: number): string {
  return n.toLocaleString('en-US')
}

/** `1 order`, `2 orders`, `1,001 orders`. */
export function count(n: number, noun: string): string {
  return `${number(n)} ${noun}${n === 1 ? '' : 's'}`
}

/** `1 order`, `2 orders`; `more than 1,000 orders` where nothing was counted beyond `most`. */
export function countUpTo(most: number, n: number, noun: string): string {
  return n > most ? `more than ${count(most, noun)}` : count(n, noun)
}

/** `45 s`, `12 min`, `3.5 h`, `4.2 days`. */
export function howLong(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 172_800_000) return `${(ms / 3_600_000).toFixed(1)} h`
  return `${(ms / 86_400_000).toFixed(1)} days`
}

/** Longer than anything that an order can have to do with: such a time was never meant. */
const NEVER_MEANT_MS = 100 * 365 * 86_400_000

/** `now`, `12 min ago`, `in 45 s`: when something is; empty if it is a lifetime away. @param ms from now on; negative: before now */
export function relativeTime(ms: number): string {
  if (Math.abs(ms) < 500) return 'now'
  if (Math.abs(ms) > NEVER_MEANT_MS) return ''
  return ms < 0 ? `${howLong(-ms)} ago` : `in ${howLong(ms)}`
}

/** `7 ms`, `1.2 s`, `300 s`, `12 min`, `3.5 h`: how late an order was, where milliseconds matter. */
export function howLate(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9_950) return `${Number((ms / 1_000).toFixed(1))} s`
  return ms < 600_000 ? `${Math.round(ms / 1_000)} s` : howLong(ms)
}

/** `7 ms`, `45.0 s`: how far two clocks are apart. */
export function clockDifference(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
}

export const MEGABYTE = 1_048_576

/** `12 KB`, `1.5 MB`, `1,200 MB`. */
export function size(bytes: number): string {
  if (bytes < MEGABYTE / 10) return `${Math.ceil(bytes / 1_024)} KB`
  return bytes < 10 * MEGABYTE ? `${(bytes / MEGABYTE).toFixed(1)} MB` : `${number(Math.round(bytes / MEGABYTE))} MB`
}
