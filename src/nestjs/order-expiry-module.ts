import { randomUUID } from 'node:crypto'
import { type DynamicModule, type InjectionToken, Module, type Provider } from '@nestjs/common'
import { OrderExpiry } from '../client/client.ts'
import type { OrderExpiryOptions } from '../client/options.ts'
import { OrderExpiryError } from '../errors.ts'
import { type Fields, refuseUnknown } from '../runtime/fields.ts'
import { getOrderExpiryToken } from './inject-order-expiry.ts'
import type { OrderExpiryModuleAsyncOptions, OrderExpiryModuleOptions, OrderExpiryOptionsFactory } from './options.ts'

/** Gives an application a client, which it closes with itself: after the last request, in `onApplicationShutdown`. */
// biome-ignore lint/complexity/noStaticOnlyClass: Nest knows a module by its class
export class OrderExpiryModule {
  /** If the options are wrong, the application does not start: INVALID_OPTIONS. */
  static forRoot(options: OrderExpiryModuleOptions): DynamicModule {
    const { name, isGlobal, ...clientOptions } = options
    const provide = uniqueToken()
    return moduleOf({ name, isGlobal, provide, providers: [{ provide, useFactory: () => clientOptions }] })
  }

  /**
   * The same with options that the application makes itself, from its configuration for one.
   *
   * @throws {OrderExpiryError} INVALID_OPTIONS
   */
  static forRootAsync(options: OrderExpiryModuleAsyncOptions): DynamicModule {
    refuseUnknown(options, ASYNC_FIELDS)
    const { name, isGlobal, imports = [] } = options
    const provide = uniqueToken()
    return { ...moduleOf({ name, isGlobal, provide, providers: optionsProviders(provide, options) }), imports }
  }
}
// Called, not written with @: neither Node nor our compiler runs decorators.
Module({})(OrderExpiryModule)

const ASYNC_FIELDS: Fields = {
  of: 'OrderExpiryModule.forRootAsync',
  known: ['name', 'isGlobal', 'imports', 'useFactory', 'inject', 'useClass', 'useExisting'],
  meant: { inject: /inj|depend/i, isGlobal: /global/i, imports: /import/i, useFactory: /factory/i, useClass: /class/i },
  code: 'INVALID_OPTIONS',
}

/** Nest 10 takes modules for one whose tokens and functions have the same text. */
function uniqueToken(): string {
  return `OrderExpiryOptions:${randomUUID()}`
}

/** @param options.provide the token of the options of the client, which `providers` provide */
function moduleOf(options: {
  name: string | undefined
  isGlobal: boolean | undefined
  provide: string
  providers: Provider[]
}): DynamicModule {
  const { name, isGlobal = false, provide, providers } = options
  const token = getOrderExpiryToken(name)
  return {
    module: OrderExpiryModule,
    global: isGlobal,
    providers: [
      ...providers,
      { provide: token, useFactory: (given: OrderExpiryOptions) => new OrderExpiry(given), inject: [provide] },
      // Nest calls the hooks of what a factory returns, too.
      { provide: `${provide}:close`, useFactory: closeAtShutdown, inject: [token] },
    ],
    exports: [token],
  }
}

/** A test may have put something without `close` in the place of the client. */
function closeAtShutdown(client: Partial<OrderExpiry>) {
  return { onApplicationShutdown: () => client.close?.() }
}

function optionsProviders(provide: string, options: OrderExpiryModuleAsyncOptions): Provider[] {
  const { useFactory, inject = [], useClass, useExisting } = options
  const ways = [useFactory, useClass, useExisting].filter((way) => way !== undefined).length
  if (ways !== 1 || (inject.length > 0 && !useFactory)) {
    const wanted = 'expected one of useFactory, useClass, useExisting, and inject with useFactory only'
    throw new OrderExpiryError('INVALID_OPTIONS', `${ASYNC_FIELDS.of}: ${wanted}`)
  }
  if (useFactory) return [{ provide, useFactory, inject }]
  const factory = (useClass ?? useExisting) as InjectionToken<OrderExpiryOptionsFactory>
  return [
    ...(useClass ? [useClass] : []),
    { provide, useFactory: (made: OrderExpiryOptionsFactory) => made.createOrderExpiryOptions(), inject: [factory] },
  ]
}
