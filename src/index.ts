export { OrderExpiry } from './client/client.ts'
export type { OrderExpiryOptions } from './client/options.ts'
export type {
  FoundOrder,
  Refusal,
  RescheduleResult,
  ScheduleItem,
  ScheduleResult,
  WithdrawResult,
} from './client/results.ts'
export { type ErrorCode, OrderExpiryError } from './errors.ts'
export type { DeadlineInput } from './order/deadline.ts'
export type { FinishedCheck, JobData } from './queue/contract.ts'
export type { ShopRedis as RedisAddress } from './redis/shop-redis.ts'
export type { PayResult } from './stores/records.ts'
