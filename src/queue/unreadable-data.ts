import { readJson } from '../runtime/json.ts'

/** What is on a job that BullMQ cannot read, in the place of its data. */
export class UnreadableData {
  /** Why it cannot be read. */
  readonly unreadable: string
  /** As far as the text names them. */
  readonly orderId?: string
  readonly deadline?: number | string

  /** @param options.text of the data: nothing else of it is kept, since it may be personal */
  constructor({ why, text = '' }: { why: string; text?: string | undefined }) {
    this.unreadable = why
    const [, orderId, orderNumber] = /"orderId"\s*:\s*(?:"([^"\\]{1,200})"|(\d{1,16})\b)/.exec(text) ?? []
    const [, iso, ms] = /"deadline"\s*:\s*(?:"([^"\\]{1,40})"|(\d{1,16})\b)/.exec(text) ?? []
    if (orderId ?? orderNumber) this.orderId = (orderId ?? orderNumber) as string
    if (iso ?? ms) this.deadline = iso ?? Number(ms)
  }
}

/** Parts of a job, by their fields in its hash, and what BullMQ needs each to be. */
const EXPECTED: Readonly<Record<string, (text: string) => string | undefined>> = {
  data: (text) => unless(isJson(text), 'data: expected JSON'),
  opts: (text) => unless(isJsonObject(text), 'opts: expected a JSON object'),
  progress: (text) => unless(isJson(text), 'progress: expected JSON'),
  parent: (text) => unless(isJsonObject(text), 'parent: expected a JSON object'),
}

/** Why BullMQ cannot read a part of a job; undefined where it can. The text itself may be personal. */
export function whyUnreadablePart(field: string, text: string): string | undefined {
  const why = text === '' ? undefined : EXPECTED[field]?.(text) // BullMQ takes an empty one for none
  return why && `${why}, given ${text.length} characters of something else`
}

/** Why BullMQ cannot read a job. @param fields of its hash; undefined: the key is none */
export function whyUnreadable(fields: Readonly<Record<string, string>> | undefined): string {
  if (!fields) return 'expected a hash, given a key of another type'
  for (const [field, text] of Object.entries(fields)) {
    const why = whyUnreadablePart(field, text)
    if (why) return why
  }
  return 'expected what BullMQ writes, given something else'
}

function unless(isWell: boolean, why: string): string | undefined {
  return isWell ? undefined : why
}

function isJson(text: string): boolean {
  return readJson(text) !== undefined
}

/** Whether a text is JSON of an object. */
export function isJsonObject(text: string): boolean {
  const value = readJson(text)
  return typeof value === 'object' && value !== null
}
