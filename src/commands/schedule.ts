import { Command, Option } from 'commander'
import { withClient } from '../daemon/with-redis.ts'
import type { DeadlineInput } from '../order/deadline.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

interface DeadlineOptions {
  deadline?: string
  timeout?: string
  allowPast?: true
  json?: true
}

/** `order-expiry schedule ID`: exit code 0 if the order is checked at this deadline, 1 if it has another one. */
export function scheduleCommand(context: CommandContext): Command {
  return withDeadlineOptions(new Command('schedule'))
    .description('have an order checked at its payment deadline')
    .action(async (orderId: string, options: DeadlineOptions) => {
      const deadline = deadlineOf(options)
      const result = await withClient({ config: context.readConfig(), clock: context.clock }, (client) =>
        client.schedule({
          orderId,
          by: 'the command line',
          ...(deadline !== undefined && { deadline }),
          ...allowPast(options),
        }),
      )
      printResult({ context, json: options.json, result, isSuccess: result.result !== 'conflict' })
    })
}

/** `order-expiry reschedule ID`: exit code 0 if the order is now checked at this deadline. */
export function rescheduleCommand(context: CommandContext): Command {
  return withDeadlineOptions(new Command('reschedule'))
    .description('move the payment deadline of an order, earlier or later')
    .action(async (orderId: string, options: DeadlineOptions, command: Command) => {
      const deadline = deadlineOf(options)
      if (deadline === undefined) return command.error('error: expected --deadline or --timeout')
      const result = await withClient({ config: context.readConfig(), clock: context.clock }, (client) =>
        client.reschedule({ orderId, deadline, ...allowPast(options) }),
      )
      const isSuccess = !['settled', 'missing', 'checking'].includes(result.result)
      printResult({ context, json: options.json, result, isSuccess })
    })
}

function withDeadlineOptions(command: Command): Command {
  return command
    .argument('<id>', 'the order id')
    .addOption(new Option('--deadline <time>', 'ISO 8601 with an offset, or epoch milliseconds').conflicts('timeout'))
    .option('--timeout <duration>', 'from now, such as 15m')
    .option('--allow-past', 'accept a deadline that has passed by more than a minute')
    .option('--json', 'print JSON')
}

function deadlineOf({ deadline, timeout }: DeadlineOptions): DeadlineInput | undefined {
  return deadline !== undefined && /^\d+$/.test(deadline) ? Number(deadline) : (deadline ?? timeout)
}

function allowPast(options: DeadlineOptions): { allowPast?: true } {
  return options.allowPast ? { allowPast: true } : {}
}
