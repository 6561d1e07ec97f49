export { type ErrorCode, OrderExpiryError } from './errors.ts'
export type { DeadlineInput } from './order/deadline.ts'
export { OrderExpiry } from './queue/client.ts'
export type { OrderExpiryOptions } from './queue/client-options.ts'
export type { FinishedCheck, JobData } from './queue/contract.ts'
export type {
  FoundOrder,
  RescheduleResult,
  ScheduleItem,
  ScheduleResult,
  WithdrawResult,
} from './queue/results.ts'
export type { RedisAddress } from './redis/connection.ts'
export type { PayResult } from './stores/redis/store.ts'
