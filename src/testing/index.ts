export type { CancelledOrder, TestOrderExpiryOptions } from './options.ts'
export { createTestOrderExpiry, type SettledOrder, type TestOrderExpiry } from './test-order-expiry.ts'
