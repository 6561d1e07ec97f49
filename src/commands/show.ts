import { Command } from 'commander'
import { withClient, withStore } from '../daemon/with-redis.ts'
import { describeOrder } from '../order/order.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

/** `order-expiry show ID`: exit code 0 if there is such an order or a check of it. */
export function showCommand(context: CommandContext): Command {
  return new Command('show')
    .description('show what is known of an order: its check and its record')
    .argument('<id>', 'the order id')
    .option('--json', 'print JSON')
    .action(async (orderId: string, options: { json?: true }) => {
      const config = context.readConfig()
      const { found, order } = await withClient({ config, clock: context.clock }, async (client, redisUrl) => ({
        found: await client.find(orderId),
        order: await withStore({ config, redisUrl }, async (store) => (await store.find([orderId]))[0]),
      }))
      if (!found && !order) {
        printResult({ context, json: options.json, result: { orderId, result: 'missing' }, isSuccess: false })
        return
      }
      const result = { orderId, ...found, ...(order && { order: describeOrder(order) }) }
      printResult({ context, json: options.json, result, isSuccess: true })
    })
}
