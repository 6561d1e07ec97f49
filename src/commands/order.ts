import { Command, Option } from 'commander'
import type { OrderExpiry } from '../client/client.ts'
import type { Config } from '../config.ts'
import { withClient, withQueueView, withStore } from '../daemon/with-redis.ts'
import { type DeadlineInput, parseDeadlineOrTimeout } from '../order/deadline.ts'
import { describeOrder } from '../order/order.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { Clock } from '../runtime/clock.ts'
import { KINDS, STORE_NAMES } from '../stores/kinds.ts'
import { notRecordedHere } from '../stores/records.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

const NAMES = { deadline: '--deadline', timeout: '--timeout', allowPast: '--allow-past' }

/** The stores where the library records the orders. */
const RECORDED = STORE_NAMES.filter((name) => KINDS[name].recordsAs).join(' or ')

/** The results for which the exit code is 1. */
const FAILURES = ['conflict', 'checking', 'settled', 'missing', 'cancelled']

interface OrderCommand {
  name: string
  description: string
  /** Default: the command has no options for a deadline. */
  deadline?: 'optional' | 'required'
  ask: (given: Given) => Promise<{ result?: string }>
}

interface Given {
  client: OrderExpiry
  orderId: string
  deadline: DeadlineInput | undefined
  allowPast: boolean
  config: Config
  redisAddress: RedisAddress
  clock: Clock
}

const COMMANDS: readonly OrderCommand[] = [
  {
    name: 'schedule',
    description: 'have an order checked at its payment deadline',
    deadline: 'optional',
    ask: ({ client, orderId, deadline, allowPast }) =>
      client.schedule({ orderId, by: 'the command line', allowPast, ...(deadline !== undefined && { deadline }) }),
  },
  {
    name: 'reschedule',
    description: 'move the payment deadline of an order, earlier or later',
    deadline: 'required',
    ask: ({ client, orderId, deadline = '', allowPast }) => client.reschedule({ orderId, deadline, allowPast }),
  },
  {
    name: 'withdraw',
    description: 'withdraw the check of an order',
    ask: ({ client, orderId }) => client.withdraw(orderId),
  },
  {
    name: 'pay',
    description: `mark an order paid (ORDER_STORE=${RECORDED})`,
    async ask({ client, orderId, config }) {
      if (!KINDS[config.ORDER_STORE].recordsAs) throw notRecordedHere(`ORDER_STORE=${RECORDED}`)
      return client.pay(orderId)
    },
  },
  {
    name: 'show',
    description: 'show what is known about an order: its check and its record',
    async ask({ orderId, config, redisAddress, clock }) {
      const [order] = await withStore({ config, redisAddress }, (store) => store.find([orderId]))
      const check = await withQueueView({ config, clock }, (view) => view.findCheck({ orderId, order }))
      if (!check && !order) return { orderId, result: 'missing' }
      return { orderId, ...(check && { check }), ...(order && { order: describeOrder(order) }) }
    },
  },
]

interface Options {
  deadline?: string
  timeout?: string
  allowPast?: true
}

/** The commands about one order, `order-expiry NAME ID`. */
export function orderCommands(context: CommandContext): Command[] {
  return COMMANDS.map(({ name, description, deadline: takesDeadline, ask }) => {
    const command = new Command(name).description(description).argument('<id>', 'the order id')
    if (takesDeadline) addDeadlineOptions(command)
    return printsResult(context, command, async (given: string, options: Options) => {
      const { clock } = context
      const orderId = parseOrderId(given, 'ID')
      const deadline = deadlineOf(options, clock.now())
      const isMissing = takesDeadline === 'required' && deadline === undefined
      if (isMissing) command.error('error: expected --deadline or --timeout')
      const config = context.readConfig()
      const result = await withClient({ config, clock }, (client, redisAddress) =>
        ask({ client, orderId, deadline, allowPast: options.allowPast ?? false, config, redisAddress, clock }),
      )
      return { result, isSuccess: !FAILURES.includes(result.result ?? '') }
    })
  })
}

function addDeadlineOptions(command: Command): void {
  command
    .addOption(new Option('--deadline <time>', 'ISO 8601 with an offset, or epoch milliseconds').conflicts('timeout'))
    .option('--timeout <duration>', 'from now, such as 15m')
    .option('--allow-past', 'accept a deadline that has passed by more than a minute')
}

function deadlineOf({ deadline, timeout, allowPast }: Options, now: number): DeadlineInput | undefined {
  const instant = deadline !== undefined && /^\d+$/.test(deadline) ? Number(deadline) : deadline
  return parseDeadlineOrTimeout({ deadline: instant, timeout, allowPast, now, names: NAMES })
}
