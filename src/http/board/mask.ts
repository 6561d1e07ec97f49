import { UnreadableData } from '../../queue/unreadable-data.ts'

/** What the contract puts on a job, and we put on a finished one. Anything else from a producer may be personal. */
const KNOWN = new Set(['orderId', 'deadline', 'by', 'outcome', 'status', 'paid', 'decidedAt', 'decidedBy'])
const MASKED = '•••'

/** The data or result of a job without what may be personal: the fields stay, their values do not. */
export function mask(value: unknown): unknown {
  if (value === null || value === undefined) return value
  if (value instanceof UnreadableData) return { ...value }
  if (typeof value !== 'object' || Array.isArray(value)) return MASKED
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, KNOWN.has(name) && typeof part !== 'object' ? part : MASKED]),
  )
}
