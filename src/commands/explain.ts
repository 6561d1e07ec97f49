import { Command } from 'commander'
import { withQueueView, withStore } from '../daemon/with-redis.ts'
import { explainOrder } from '../explain/explain-order.ts'
import { type Story, storyJsonOf } from '../explain/story.ts'
import type { CommandContext } from './context.ts'

/** `order-expiry explain ID`: one order's story. Exit code 0 if there is such an order, or a check of it. */
export function explainCommand(context: CommandContext): Command {
  return new Command('explain')
    .description("why an order was cancelled, or was not: one order's story in order of time")
    .argument('<id>', 'the order id')
    .option('--json', 'print JSON')
    .action(async (orderId: string, options: { json?: true }) => {
      const { clock } = context
      const config = context.readConfig()
      const story = await withQueueView({ config, clock }, (view, redisUrl) =>
        withStore({ config, redisUrl }, (store) =>
          explainOrder({ orderId, sources: { view, store, dryRun: config.DRY_RUN, clock } }),
        ),
      )
      if (options.json) context.print(JSON.stringify(storyJsonOf(story), null, 2))
      else for (const line of describeStory(story)) context.print(line)
      context.exitWith(story.isKnown ? 0 : 1)
    })
}

/** Lines for a terminal. */
function describeStory({ verdict, lines }: Story): string[] {
  return [
    verdict,
    '',
    ...lines.map(({ at, what }) => `${at === undefined ? '–'.padEnd(24) : new Date(at).toISOString()}  ${what}`),
  ]
}
