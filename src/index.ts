export { type ErrorCode, OrderExpiryError } from './errors.ts'
export type { DeadlineInput } from './order/deadline.ts'
export {
  type FoundOrder,
  OrderExpiry,
  type OrderExpiryOptions,
  type RescheduleResult,
  type ScheduleItem,
  type ScheduleResult,
  type WithdrawResult,
} from './queue/client.ts'
export type { RedisAddress } from './queue/connection.ts'
export type { FinishedCheck, JobData } from './queue/contract.ts'
export type { PayResult } from './stores/redis.ts'
