import { readConfig } from '../../src/config.ts'
import { chosenGateway, openGateway } from '../../src/gateways/gateways.ts'
import type { PaymentGateway } from '../../src/order/payment-gateway.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { closing } from './closing.ts'
import type { ProviderServer } from './provider-server.ts'

/** A provider that is stopped after the test. */
export async function startProvider<Server extends ProviderServer>(kind: {
  start(): Promise<Server>
}): Promise<Server> {
  const server = await kind.start()
  closing.push(() => server.stop())
  return server
}

/** The gateway that the environment asks for, as the daemon opens it. */
export async function openGatewayOf(
  env: Record<string, string>,
  options: { clock: Clock; voidAuthorised?: boolean },
): Promise<PaymentGateway> {
  const table = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://localhost/shop', ORDERS_PAYMENT_COLUMN: 'payment' }
  const config = readConfig({ env: { ...table, ...env }, dotenv: {} })
  const name = chosenGateway(config)
  if (!name) throw new Error('the environment asks for no gateway')
  const gateway = await openGateway(name, config, { version: '0', ...options })
  closing.push(() => gateway.dispose())
  return gateway
}
