/** Every type of event that a daemon may write into the outbox. docs/events.md says what each tells. */
export const EVENT_TYPES = [
  'order.cancelled',
  'order.kept',
  'order.payment_reminder',
  'order.payment_found',
  'order.paid_late',
  'order.check_failed',
  'brake.engaged',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

/** Those that are sent unless somebody says otherwise: most orders are kept, and few want to hear of each. */
export const SENT_BY_DEFAULT: readonly EventType[] = EVENT_TYPES.filter((type) => type !== 'order.kept')
