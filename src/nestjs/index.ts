export { getOrderExpiryToken, InjectOrderExpiry } from './inject-order-expiry.ts'
export type {
  OrderExpiryModuleAsyncOptions,
  OrderExpiryModuleOptions,
  OrderExpiryOptionsFactory,
} from './options.ts'
export { OrderExpiryModule } from './order-expiry-module.ts'
