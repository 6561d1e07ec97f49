/** One thing that happened to an order or its check. `at` in epoch milliseconds; undefined where nobody wrote down when. */
export interface CheckNote {
  at: number | undefined
  code: 'CHECK_POSTPONED' | 'CHECK_RETRIED' | 'DEADLINE_MOVED' | 'CHECK_REPLACED' | 'CHECK_UNREADABLE' | 'NOTE'
  what: string
}

/** Lines that are kept on a job. */
export const NOTES_KEPT = 50

/** A line to be kept on a job, in BullMQ's own log of it, so that boards show it too. */
export function noteOf(at: number, what: string): string {
  return `${new Date(at).toISOString()} ${what}`
}

const AT = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
const ROW = new RegExp(`^(${AT}) (.*)$`, 's')
/** Every note that we write. */
const OWN_NOTES: [form: RegExp, code: CheckNote['code']][] = [
  [/^check postponed by \d+ ms: [\w-]+$/, 'CHECK_POSTPONED'],
  [/^check failed, again in \d+ ms: \w+$/, 'CHECK_RETRIED'],
  [new RegExp(`^deadline moved( from ${AT})? to ${AT}$`), 'DEADLINE_MOVED'],
  [new RegExp(`^replaces a check that cancelled the order at ${AT}$`), 'CHECK_REPLACED'],
]

/** Whether a line of a job's log is a note of ours, and not something that a producer or its worker wrote there. */
export function isOwnNote(row: string): boolean {
  return parseNote(row).code !== 'NOTE'
}

/** The line that a note was made of. `NOTE`: a producer or its worker wrote it, and not we. */
export function parseNote(row: string): CheckNote {
  const [, time = '', what = row] = ROW.exec(row) ?? []
  const at = Date.parse(time)
  if (Number.isNaN(at)) return { at: undefined, code: 'NOTE', what: row }
  const [, code = 'NOTE'] = OWN_NOTES.find(([form]) => form.test(what)) ?? []
  return { at, code, what }
}
