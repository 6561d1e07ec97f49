import { Command } from 'commander'
import { chooseStore } from '../daemon/parts.ts'
import { migrateStore } from '../stores/kinds.ts'
import type { CommandContext } from './context.ts'

/** `order-expiry migrate`: creates the tables beside the orders; with --index, missing indexes too. May be rerun. */
export function migrateCommand(context: CommandContext): Command {
  return new Command('migrate')
    .description('create the outbox table beside the orders table (PostgreSQL)')
    .option('--index', 'also create the indexes that the orders table lacks, without stopping the shop')
    .option('--dry-run', 'only print the statements')
    .action(async (options: { index?: true; dryRun?: true }) => {
      // With the owner's role, it may run where neither Redis nor the users of the daemon are known.
      const config = context.readConfig({ only: 'tables' })
      let statements = 0
      const missing = await migrateStore(chooseStore({ config, redisAddress: '' }), {
        dryRun: Boolean(options.dryRun),
        withIndexes: Boolean(options.index),
        onStatement(statement) {
          statements++
          for (const line of `${statement};`.split('\n')) context.print(line)
        },
      })
      if (statements === 0) context.print(`ORDER_STORE=${config.ORDER_STORE}: nothing to create`)
      else if (!options.dryRun) for (const line of ['', 'Done.']) context.print(line)
      for (const { why, fix, isHarmless } of missing) {
        context.print('')
        context.print(`-- An index is missing: ${why}`)
        if (isHarmless) context.print('-- `order-expiry migrate --index` creates it, or:')
        for (const line of fix) context.print(line.replace(/^#/, '--'))
      }
    })
}
