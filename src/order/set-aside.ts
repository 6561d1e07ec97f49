import { count, howLong } from '../runtime/human-numbers.ts'
import { LAST_MS } from './deadline.ts'
import type { SetAside } from './store.ts'

/** Of each reason. */
export const MOST_COUNTED = 10_000

export const NOTHING_SET_ASIDE: SetAside = { backlog: { orders: 0 }, unreadable: { orders: 0, examples: [] } }

interface Reason {
  why: keyof SetAside
  /** How many, and the oldest or some of them. */
  what: string
  /** What becomes of them, and what somebody can do. */
  remedy: string
}

export function isAnySetAside({ backlog, unreadable }: SetAside): boolean {
  return backlog.orders + unreadable.orders > 0
}

/** What is set aside, for people: each reason that has orders. */
export function describeSetAside(options: { setAside: SetAside; now: number }): Reason[] {
  const { backlog, unreadable } = options.setAside
  return [
    ...(backlog.orders > 0 ? [describeBacklog(backlog, options.now)] : []),
    ...(unreadable.orders > 0 ? [describeUnreadable(unreadable)] : []),
  ]
}

function describeBacklog({ orders, oldest }: SetAside['backlog'], now: number): Reason {
  const age = oldest === undefined ? '' : `, the oldest due ${instantOf(oldest)}, ${howLong(now - oldest)} ago`
  return {
    why: 'backlog',
    what: `backlog: ${counted(orders)} overdue for more than a day when order-expiry first saw the table${age}`,
    remedy: 'left alone until `order-expiry sweep --backlog`; look first: `order-expiry sweep --backlog --dry-run`',
  }
}

function describeUnreadable({ orders, examples }: SetAside['unreadable']): Reason {
  const ids = examples.length > 0 ? `, such as ${examples.join(' ')}` : ''
  return {
    why: 'unreadable',
    what: `unreadable: ${counted(orders)} with a deadline that cannot be meant (before 2001)${ids}`,
    remedy: 'never cancelled until the deadline is corrected in the table',
  }
}

/** ISO 8601, or what is beyond it: `-infinity`. */
export function instantOf(ms: number): string {
  return ms > -LAST_MS ? new Date(ms).toISOString() : '-infinity'
}

function counted(orders: number): string {
  return orders >= MOST_COUNTED ? `${count(MOST_COUNTED, 'unpaid order')} or more` : count(orders, 'unpaid order')
}
