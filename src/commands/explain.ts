import { Command } from 'commander'
import { withExplainSources } from '../daemon/with-redis.ts'
import { describeMissing, explainOrder, type Story, storyJsonOf } from '../explain/story.ts'
import { parseOrderId } from '../order/order-id.ts'
import { instantOf } from '../order/set-aside.ts'
import { relativeTime } from '../runtime/human-numbers.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

const HALF_TOLD = 2

/**
 * `order-expiry explain ID`: one order's story. Exit code 0 if there is such an order, or a check of it, 1 if there is not or
 * nothing can be asked, 2 if only half of the story can be told.
 */
export function explainCommand(context: CommandContext): Command {
  const command = new Command('explain')
    .description("why an order was cancelled, or was not: one order's story in order of time")
    .argument('<id>', 'the order id')
    .addHelpText(
      'after',
      '\nExit code: 0 the order is known; 1 it is not, or nothing can be asked; 2 Redis or the order store cannot be asked,\nso that half of the story is missing.',
    )
  return printsResult(context, command, async (given: string) => {
    const orderId = parseOrderId(given, 'ID')
    const { clock } = context
    const config = context.readConfig()
    const story = await withExplainSources({ config, clock }, (sources) => explainOrder({ orderId, sources }))
    const isHalf = Object.keys(story.missing).length > 0
    if (isHalf) context.exitWith(HALF_TOLD)
    return { result: storyJsonOf(story), lines: describe(story), isSuccess: isHalf || story.isKnown }
  })
}

function describe(story: Story): string[] {
  const { verdict, events, missing, now } = story
  const lines = [verdict.text, ...(verdict.next ? [`What to do: ${verdict.next}`] : [])]
  for (const { part, text } of describeMissing(missing)) lines.push(text, `  ${missing[part]?.message}`)
  const rows = events.map(({ at, text }) => {
    if (at === undefined) return `${'–'.padEnd(24)}  ${text}`
    const when = relativeTime(at - now)
    return `${instantOf(at).padEnd(24)}  ${text}${when === 'now' || when === '' ? '' : ` (${when})`}`
  })
  return [...lines, '', ...rows]
}
