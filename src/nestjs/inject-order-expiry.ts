import { Inject } from '@nestjs/common'
import { OrderExpiry } from '../client/client.ts'

/** What a client is injected by, and overridden in tests: the class OrderExpiry itself, or a token of its name. */
export function getOrderExpiryToken(name?: string): typeof OrderExpiry | string {
  return name === undefined ? OrderExpiry : `OrderExpiry:${name}`
}

/** Injects the client of that name, or the one without; also where the compiler writes no types of parameters, as esbuild. */
export function InjectOrderExpiry(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getOrderExpiryToken(name))
}
