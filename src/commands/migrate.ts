import { Command } from 'commander'
import { migrateStore } from '../stores/open.ts'
import type { CommandContext } from './context.ts'

/** `order-expiry migrate`: afterwards the tables that we need beside the orders exist. May be run again. */
export function migrateCommand(context: CommandContext): Command {
  return new Command('migrate')
    .description('create the outbox table beside the orders table (PostgreSQL)')
    .option('--dry-run', 'only print the statements')
    .action(async (options: { dryRun?: true }) => {
      const config = context.readConfig()
      const { chooseStore } = await import('../composition.ts')
      const choice = chooseStore({ config, redisUrl: config.REDIS_URL ?? '', onError: () => {} })
      const statements = await migrateStore(choice, { dryRun: Boolean(options.dryRun) })
      for (const statement of statements) context.print(`${statement};`)
      if (statements.length === 0) context.print(`ORDER_STORE=${config.ORDER_STORE}: nothing to create`)
      else if (!options.dryRun) context.print('\nDone.')
    })
}
