import type { Counts } from '../observe/minutes.ts'
import type { OrderStore } from '../order/store.ts'
import type { QueueView } from '../queue/view/queue-view.ts'
import type { Clock } from '../runtime/clock.ts'

/** What is known of the process and of what it depends on. */
export interface Vitals {
  /** Of this package. */
  readonly version: string
  readonly dryRun: boolean
  readonly clock: Clock
  readonly phase: 'starting' | 'running' | 'stopping'
  /** The loops that must go on, while they must. */
  loops(): readonly { name: string; ageMs: number }[]
  /** Rejects while Redis cannot be used. */
  pingRedis(): Promise<unknown>
  /** Why Redis cannot be used, as far as it has been noticed. */
  readonly redisFailure: Error | undefined
  /** Rejects while the order store cannot be used. */
  pingStore(): Promise<unknown>
  readonly isBreakerOpen: boolean
  /** Undefined: not known. */
  readonly brake: { engaged: boolean; reason?: string } | undefined
  readonly view: QueueView
  /** @throws {OrderExpiryError} STORE_UNAVAILABLE before it has been opened */
  readonly store: Pick<OrderStore, 'find' | 'eventsOf'>
  /** Orders that should have been cancelled. */
  readOverdue(): Promise<{ orders: number; oldestSeconds: number }>
  /** The last hour, by the minute. */
  readHistory(): Promise<Counts[]>
}
