import 'reflect-metadata'
import { Injectable, Module, type ModuleMetadata } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { OrderExpiry, type OrderExpiryError } from 'order-expiry'
import {
  getOrderExpiryToken,
  InjectOrderExpiry,
  OrderExpiryModule,
  type OrderExpiryOptionsFactory,
} from 'order-expiry/nestjs'
import { Settings, SettingsModule } from './tickets.module.js'

/* Each way in which the module takes options, one after the other; what became of each is printed as JSON. */

const redis = process.env.REDIS_URL as string

@Injectable()
class Options implements OrderExpiryOptionsFactory {
  constructor(private readonly settings: Settings) {}

  createOrderExpiryOptions() {
    return Promise.resolve({ redis: this.settings.redisUrl, orders: 'redis' as const })
  }
}

@Module({ imports: [SettingsModule], providers: [Options], exports: [Options] })
class OptionsModule {}

/** Its types tell nothing of what is injected, as with a compiler that writes none. */
@Injectable()
class Consumer {
  @InjectOrderExpiry() readonly expiry: unknown
}

/** Starts an application, has an order scheduled, and closes it. @returns what became of that, or why it does not start */
async function run({ token = OrderExpiry, ...metadata }: ModuleMetadata & { token?: typeof OrderExpiry | string }) {
  class Root {}
  Module(metadata)(Root)
  try {
    const app = await NestFactory.createApplicationContext(Root, { logger: false, abortOnError: false })
    const expiry = app.get<OrderExpiry>(token, { strict: false })
    const { result } = await expiry.schedule({ orderId: 'W-1', deadline: '15m' })
    await expiry.withdraw('W-1')
    await app.close()
    return [result, await expiry.schedule({ orderId: 'W-1' }).catch(codeOf)].join(' ')
  } catch (error) {
    return codeOf(error as Error)
  }
}

function codeOf(error: Error) {
  return 'code' in error ? (error as OrderExpiryError).code : error.constructor.name
}

/** A module with a client of its own, without a name. */
function part(queueName: string) {
  class Part {}
  const consumer = `consumer of ${queueName}`
  const providers = [Consumer, { provide: consumer, useExisting: Consumer }]
  Module({ imports: [OrderExpiryModule.forRoot({ redis, queueName })], providers, exports: [consumer] })(Part)
  return { Part, consumer }
}

/** Two modules, each with a client for its own queue. @returns the queues in which their orders are found, each by its client */
async function parts() {
  const [a, b] = [part('check-a'), part('check-b')]
  class Root {}
  Module({ imports: [a.Part, b.Part] })(Root)
  const app = await NestFactory.createApplicationContext(Root, { logger: false })
  const [inA, inB] = [a, b].map(({ consumer }) => app.get<Consumer>(consumer, { strict: false }).expiry as OrderExpiry)
  await inA?.schedule({ orderId: 'in a' })
  await inB?.schedule({ orderId: 'in b' })
  const found = [await inA?.find('in a'), await inA?.find('in b'), await inB?.find('in b')]
  await app.close()
  return found.map((order) => order !== undefined)
}

class Needy {}
Module({ providers: [Consumer] })(Needy)

async function main() {
  const name = 'second'
  console.log(
    JSON.stringify({
      forRoot: await run({ imports: [OrderExpiryModule.forRoot({ redis })], providers: [Consumer] }),
      useFactory: await run({ imports: [OrderExpiryModule.forRootAsync({ useFactory: async () => ({ redis }) })] }),
      useClass: await run({
        imports: [OrderExpiryModule.forRootAsync({ imports: [SettingsModule], useClass: Options })],
      }),
      useExisting: await run({
        imports: [OrderExpiryModule.forRootAsync({ imports: [OptionsModule], useExisting: Options })],
      }),
      byName: await run({
        imports: [OrderExpiryModule.forRoot({ redis }), OrderExpiryModule.forRoot({ redis, name })],
        token: getOrderExpiryToken(name),
      }),
      unusedAndAway: await run({
        imports: [
          OrderExpiryModule.forRoot({ redis }),
          OrderExpiryModule.forRoot({ redis: 'redis://127.0.0.1:1', name }),
        ],
      }),
      global: await run({ imports: [OrderExpiryModule.forRoot({ redis, isGlobal: true }), Needy] }),
      notGlobal: await run({ imports: [OrderExpiryModule.forRoot({ redis }), Needy] }),
      globalAsync: await run({
        imports: [OrderExpiryModule.forRootAsync({ isGlobal: true, useFactory: () => ({ redis }) }), Needy],
      }),
      noUrl: await run({ imports: [OrderExpiryModule.forRoot({ redis: 'localhost' })] }),
      unknownOption: await run({ imports: [OrderExpiryModule.forRoot({ redis, queue: 'x' } as never)] }),
      factoryFails: await run({
        imports: [OrderExpiryModule.forRootAsync({ useFactory: () => Promise.reject(new RangeError('no settings')) })],
      }),
      noWay: await Promise.resolve()
        .then(() => OrderExpiryModule.forRootAsync({}))
        .catch(codeOf),
      twoWays: await Promise.resolve()
        .then(() => OrderExpiryModule.forRootAsync({ useClass: Options, useFactory: () => ({ redis }) }))
        .catch(codeOf),
      misspelt: await Promise.resolve()
        .then(() => OrderExpiryModule.forRootAsync({ useFactory: () => ({ redis }), injct: [Settings] } as never))
        .catch(({ message }: Error) => message),
      injectsIntoClass: await Promise.resolve()
        .then(() => OrderExpiryModule.forRootAsync({ useClass: Options, inject: [Settings] }))
        .catch(({ message }: Error) => message),
      parts: await parts(),
    }),
  )
}

void main()
