import { Command } from 'commander'
import { withClient } from '../daemon/with-redis.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

/** `order-expiry withdraw ID`: exit code 0 if the order will not be checked any more. */
export function withdrawCommand(context: CommandContext): Command {
  return new Command('withdraw')
    .description('take the check of an order back')
    .argument('<id>', 'the order id')
    .option('--json', 'print JSON')
    .action(async (orderId: string, options: { json?: true }) => {
      const result = await withClient({ config: context.readConfig(), clock: context.clock }, (client) =>
        client.withdraw(orderId),
      )
      printResult({ context, json: options.json, result, isSuccess: result.result === 'withdrawn' })
    })
}
