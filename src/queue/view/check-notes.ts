/** One thing that happened to an order or its check. `at` in epoch milliseconds; undefined where nobody wrote down when. */
export interface CheckNote {
  at: number | undefined
  what: string
}

/** Lines that are kept on a job. */
export const NOTES_KEPT = 50

/** A line to be kept on a job, in BullMQ's own log of it, so that boards show it too. */
export function noteOf(at: number, what: string): string {
  return `${new Date(at).toISOString()} ${what}`
}

/** The line that a note was made of. */
export function parseNote(row: string): CheckNote {
  const [at, ...words] = row.split(' ')
  const ms = Date.parse(at ?? '')
  return Number.isNaN(ms) ? { at: undefined, what: row } : { at: ms, what: words.join(' ') }
}
