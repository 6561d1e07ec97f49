/**
 * Promise I2, every unpaid order is cancelled soon after its deadline, in spans of time after that deadline: how late is
 * still as promised, who acts next, and from when on who is told.
 */

/** While everything is healthy, workers have cancelled an order by then. */
export const HEALTHY_MS = 1_000

/** Workers have had their chance: the next sweep settles the order itself. */
export const SWEPT_AFTER_MS = 5_000

/** Neither a worker nor a sweep is about to settle it: it is counted as overdue. */
export const OVERDUE_AFTER_MS = 10_000

/** After an outage, an order whose job Redis still knows has been cancelled by then. */
export const LATE_AFTER_MS = 30_000

/** After an outage, every order has been cancelled by then, even where Redis has lost all jobs: sweeps find it. */
export const VERY_LATE_AFTER_MS = 90_000

/** A single sweep may meet a lock; what is left this long was left by sweep after sweep, so it is shown in red and alerted on. */
export const LEFT_BEHIND_AFTER_MS = 120_000

/** While Redis is away, sweeps have cancelled an order by then: they go by the deadlines in the order store. */
export const WITHOUT_REDIS_MS = 1_000

/** While Redis is away, what was left behind, or came too late for that, is swept this often. */
export const SWEPT_WITHOUT_REDIS_EVERY_MS = 10_000
