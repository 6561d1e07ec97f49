import { Command } from 'commander'
import { withQueueView, withStore } from '../daemon/with-redis.ts'
import { explainOrder, storyJsonOf } from '../explain/story.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

/** `order-expiry explain ID`: one order's story. Exit code 0 if there is such an order, or a check of it. */
export function explainCommand(context: CommandContext): Command {
  const command = new Command('explain')
    .description("why an order was cancelled, or was not: one order's story in order of time")
    .argument('<id>', 'the order id')
  return printsResult(context, command, async (orderId: string) => {
    const { clock } = context
    const config = context.readConfig()
    const story = await withQueueView({ config, clock }, (view, redisAddress) =>
      withStore({ config, redisAddress }, (store) =>
        explainOrder({ orderId, sources: { view, store, dryRun: config.DRY_RUN, clock } }),
      ),
    )
    const result = storyJsonOf(story)
    const lines = [result.verdict, '', ...result.story.map(({ at = '–', what }) => `${at.padEnd(24)}  ${what}`)]
    return { result, lines, isSuccess: story.isKnown }
  })
}
