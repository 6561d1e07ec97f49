import type { InjectionToken, ModuleMetadata, OptionalFactoryDependency, Type } from '@nestjs/common'
import type { OrderExpiryOptions } from '../client/options.ts'

/** How a client is known in the application. */
interface OrderExpiryModuleExtras {
  /** Which client it is, where there are several: `@InjectOrderExpiry(name)` injects it. Default: the one of the class OrderExpiry. */
  name?: string
  /** Every module may inject it, without importing this one. Default false. */
  isGlobal?: boolean
}

export interface OrderExpiryModuleOptions extends OrderExpiryOptions, OrderExpiryModuleExtras {}

/** What gives the options of a client, for `useClass` and `useExisting`. */
export interface OrderExpiryOptionsFactory {
  createOrderExpiryOptions(): OrderExpiryOptions | Promise<OrderExpiryOptions>
}

/** One of `useFactory`, `useClass` and `useExisting`. */
export interface OrderExpiryModuleAsyncOptions extends OrderExpiryModuleExtras, Pick<ModuleMetadata, 'imports'> {
  useFactory?: (...injected: never[]) => OrderExpiryOptions | Promise<OrderExpiryOptions>
  /** What `useFactory` is called with. */
  inject?: (InjectionToken | OptionalFactoryDependency)[]
  /** A class that is made for this, with what `imports` provide. */
  useClass?: Type<OrderExpiryOptionsFactory>
  /** A provider of `imports`, or of a global module. */
  useExisting?: InjectionToken<OrderExpiryOptionsFactory>
}
