import { Command, Option } from 'commander'
import type { OrderExpiry } from '../client/client.ts'
import type { Config } from '../config.ts'
import { withClient, withStore } from '../daemon/with-redis.ts'
import type { DeadlineInput } from '../order/deadline.ts'
import { describeOrder } from '../order/order.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

interface OrderOptions {
  json?: true
}

interface DeadlineOptions extends OrderOptions {
  deadline?: string
  timeout?: string
  allowPast?: true
}

/** `order-expiry schedule ID`: exit code 0 if the order is checked at this deadline, 1 if it has another one. */
export function scheduleCommand(context: CommandContext): Command {
  return withDeadlineOptions(orderCommand('schedule'))
    .description('have an order checked at its payment deadline')
    .action((orderId: string, options: DeadlineOptions) => {
      const deadline = deadlineOf(options)
      const { json, allowPast = false } = options
      const item = { orderId, by: 'the command line', allowPast, ...(deadline !== undefined && { deadline }) }
      return askClient({ context, json, failures: ['conflict'], ask: (client) => client.schedule(item) })
    })
}

/** `order-expiry reschedule ID`: exit code 0 if the order is now checked at this deadline. */
export function rescheduleCommand(context: CommandContext): Command {
  return withDeadlineOptions(orderCommand('reschedule'))
    .description('move the payment deadline of an order, earlier or later')
    .action((orderId: string, options: DeadlineOptions, command: Command) => {
      const deadline = deadlineOf(options)
      if (deadline === undefined) return command.error('error: expected --deadline or --timeout')
      const { json, allowPast = false } = options
      const failures = ['settled', 'missing', 'checking']
      return askClient({
        context,
        json,
        failures,
        ask: (client) => client.reschedule({ orderId, deadline, allowPast }),
      })
    })
}

/** `order-expiry withdraw ID`: exit code 0 if the order will not be checked any more. */
export function withdrawCommand(context: CommandContext): Command {
  return orderCommand('withdraw')
    .description('take the check of an order back')
    .action((orderId: string, { json }: OrderOptions) => {
      const failures = ['checking', 'missing', 'settled']
      return askClient({ context, json, failures, ask: (client) => client.withdraw(orderId) })
    })
}

/** `order-expiry pay ID`: exit code 0 if the order is paid now, 1 if it was too late. */
export function payCommand(context: CommandContext): Command {
  return orderCommand('pay')
    .description('mark an order paid (ORDER_STORE=redis)')
    .action((orderId: string, { json }: OrderOptions) =>
      askClient({ context, json, failures: ['cancelled', 'missing'], ask: (client) => client.pay(orderId) }),
    )
}

/** `order-expiry show ID`: exit code 0 if there is such an order or a check of it. */
export function showCommand(context: CommandContext): Command {
  return orderCommand('show')
    .description('show what is known of an order: its check and its record')
    .action((orderId: string, { json }: OrderOptions) => {
      const ask: Question = async (client, settings) => {
        const found = await client.find(orderId)
        const [order] = await withStore(settings, (store) => store.find([orderId]))
        if (!found && !order) return { orderId, result: 'missing' }
        return { orderId, ...found, ...(order && { order: describeOrder(order) }) }
      }
      return askClient({ context, json, failures: ['missing'], ask })
    })
}

function orderCommand(name: string): Command {
  return new Command(name).argument('<id>', 'the order id').option('--json', 'print JSON')
}

function withDeadlineOptions(command: Command): Command {
  return command
    .addOption(new Option('--deadline <time>', 'ISO 8601 with an offset, or epoch milliseconds').conflicts('timeout'))
    .option('--timeout <duration>', 'from now, such as 15m')
    .option('--allow-past', 'accept a deadline that has passed by more than a minute')
}

function deadlineOf({ deadline, timeout }: DeadlineOptions): DeadlineInput | undefined {
  return deadline !== undefined && /^\d+$/.test(deadline) ? Number(deadline) : (deadline ?? timeout)
}

type Question = (client: OrderExpiry, settings: { config: Config; redisUrl: string }) => Promise<{ result?: string }>

/** Prints what the client answers. Exit code 1 if its result is one of the failures. */
async function askClient(options: {
  context: CommandContext
  json: true | undefined
  failures: readonly string[]
  ask: Question
}): Promise<void> {
  const { context, json, failures, ask } = options
  const config = context.readConfig()
  const result = await withClient({ config, clock: context.clock }, (client, redisUrl) =>
    ask(client, { config, redisUrl }),
  )
  printResult({ context, json, result, isSuccess: !failures.includes(result.result ?? '') })
}
