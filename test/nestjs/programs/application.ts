import 'reflect-metadata'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { AppModule } from './app.module.js'
import { RawProducer, RawProducerModule } from './raw-producer.module.js'
import { TicketsModule, TicketsService } from './tickets.module.js'

/** The modules of the page in one application, which serves a request and closes. */
@Module({ imports: [AppModule, TicketsModule, RawProducerModule] })
class Shop {}

async function main() {
  const app = await NestFactory.create(Shop, { logger: ['error'] })
  await app.listen(0, '127.0.0.1')
  const response = await fetch(`${await app.getUrl()}/orders/A-1`, { method: 'POST' })
  const { result } = await app.get(TicketsService).hold('T-1')
  await app.get(RawProducer).place('R-1')
  await app.close()
  console.log([response.status, await response.text(), result].join(' '))
}

void main()
