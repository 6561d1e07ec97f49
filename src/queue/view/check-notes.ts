/** One thing that happened to an order or its check. `at` in epoch milliseconds; undefined where nobody wrote down when. */
export interface CheckNote {
  at: number | undefined
  code: 'CHECK_POSTPONED' | 'CHECK_RETRIED' | 'DEADLINE_MOVED' | 'CHECK_UNREADABLE' | 'NOTE'
  what: string
}

/** Lines that are kept on a job. */
export const NOTES_KEPT = 50

/** What a note of ours begins with. */
const BEGINNINGS: [beginning: string, code: CheckNote['code']][] = [
  ['check postponed by ', 'CHECK_POSTPONED'],
  ['check failed, again in ', 'CHECK_RETRIED'],
  ['deadline moved ', 'DEADLINE_MOVED'],
]

/** A line to be kept on a job, in BullMQ's own log of it, so that boards show it too. */
export function noteOf(at: number, what: string): string {
  return `${new Date(at).toISOString()} ${what}`
}

const AT = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
/** Every note that we write. */
const OWN_NOTE = new RegExp(
  String.raw`^${AT} (check postponed by \d+ ms: [\w-]+|check failed, again in \d+ ms: \w+|deadline moved from ${AT} to ${AT}|replaces a check that cancelled the order at ${AT})$`,
)

/** Whether a line of a job's log is a note of ours, and not something that a producer or its worker wrote there. */
export function isOwnNote(row: string): boolean {
  return OWN_NOTE.test(row)
}

/** The line that a note was made of. */
export function parseNote(row: string): CheckNote {
  const [at, ...words] = row.split(' ')
  const ms = Date.parse(at ?? '')
  if (Number.isNaN(ms)) return { at: undefined, code: 'NOTE', what: row }
  const what = words.join(' ')
  const [, code = 'NOTE'] = BEGINNINGS.find(([beginning]) => what.startsWith(beginning)) ?? []
  return { at: ms, code, what }
}
