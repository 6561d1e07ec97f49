import type { StoryLine } from '../../explain/story.ts'

/** Lines that are kept on a job. */
export const NOTES_KEPT = 50

/** A line to be kept on a job, in BullMQ's own log of it, so that boards show it too. */
export function noteOf(at: number, what: string): string {
  return `${new Date(at).toISOString()} ${what}`
}

/** The line that a note was made of. */
export function parseNote(row: string): StoryLine {
  const [at, ...words] = row.split(' ')
  const ms = Date.parse(at ?? '')
  return Number.isNaN(ms) ? { at: undefined, what: row } : { at: ms, what: words.join(' ') }
}
