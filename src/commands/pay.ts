import { Command } from 'commander'
import { withClient } from '../daemon/with-redis.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

/** `order-expiry pay ID`: exit code 0 if the order is paid now, 1 if it was too late. */
export function payCommand(context: CommandContext): Command {
  return new Command('pay')
    .description('mark an order paid (ORDER_STORE=redis)')
    .argument('<id>', 'the order id')
    .option('--json', 'print JSON')
    .action(async (orderId: string, options: { json?: true }) => {
      const result = await withClient({ config: context.readConfig(), clock: context.clock }, (client) =>
        client.pay(orderId),
      )
      printResult({ context, json: options.json, result, isSuccess: result.result === 'paid' })
    })
}
