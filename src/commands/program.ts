import { Command } from 'commander'
import { brakeCommand } from './brake.ts'
import { checkCommand } from './check.ts'
import type { CommandContext } from './context.ts'
import { demoCommand } from './demo/demo.ts'
import { doctorCommand } from './doctor.ts'
import { explainCommand } from './explain.ts'
import { forecastCommand } from './forecast.ts'
import { migrateCommand } from './migrate.ts'
import { payCommand } from './pay.ts'
import { replayCommand } from './replay.ts'
import { rescheduleCommand, scheduleCommand } from './schedule.ts'
import { showCommand } from './show.ts'
import { startCommand } from './start.ts'
import { sweepCommand } from './sweep.ts'
import { withdrawCommand } from './withdraw.ts'

/** The command line with all its commands. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('order-expiry')
    .description('Cancels orders left unpaid past their payment deadline, and never a paid one.')
    .version(context.version)
    .showHelpAfterError('(add --help for what is expected)')
  for (const command of [
    startCommand,
    checkCommand,
    doctorCommand,
    migrateCommand,
    scheduleCommand,
    rescheduleCommand,
    withdrawCommand,
    payCommand,
    showCommand,
    explainCommand,
    forecastCommand,
    sweepCommand,
    replayCommand,
    brakeCommand,
    demoCommand,
  ]) {
    program.addCommand(command(context))
  }
  return program
}
