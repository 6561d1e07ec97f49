import { Command } from 'commander'
import { visibleLines } from '../runtime/visible.ts'
import { brakeCommand } from './brake.ts'
import { checkCommand } from './check.ts'
import type { CommandContext } from './context.ts'
import { demoCommand } from './demo/demo.ts'
import { doctorCommand } from './doctor.ts'
import { eventsCommand } from './events.ts'
import { explainCommand } from './explain.ts'
import { forecastCommand } from './forecast.ts'
import { migrateCommand } from './migrate.ts'
import { orderCommands } from './order.ts'
import { replayCommand } from './replay.ts'
import { startCommand } from './start.ts'
import { sweepCommand } from './sweep.ts'

/** What Commander does not indent, so that it would not count as a line of ours. */
const SUGGESTION = /\n(?=\(Did you mean )/

/** The command line with all its commands. */
export function createProgram(context: CommandContext): Command {
  const commands = [
    startCommand,
    checkCommand,
    doctorCommand,
    migrateCommand,
    orderCommands,
    explainCommand,
    forecastCommand,
    sweepCommand,
    replayCommand,
    eventsCommand,
    brakeCommand,
    demoCommand,
  ]
  const program = new Command('order-expiry')
    .description('Cancels orders left unpaid past their payment deadline, and never a paid one.')
    .version(context.version)
    .showHelpAfterError('(add --help for usage)')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      outputError: (text, write) => write(`${visibleLines(text.trimEnd().replace(SUGGESTION, '\n  '))}\n`),
    })
    .option('--env-file <path>', 'read further settings from this file, not from .env of the current folder')
    .option('--no-env-file', 'read settings from the environment alone')
    .hook('preAction', () => context.chooseEnvFile(program.opts().envFile))
  for (const command of commands.flatMap((create) => create(context))) program.addCommand(inherit(command, program))
  return program
}

/** How help and errors are shown. Commander does so by itself only for commands that it has made. */
function inherit(command: Command, from: Command): Command {
  for (const part of command.commands) inherit(part, from)
  return command.copyInheritedSettings(from)
}
