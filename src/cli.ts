#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { parse } from 'dotenv'
import { checkCommand } from './commands/check.ts'
import type { CommandContext } from './commands/context.ts'
import { demoCommand } from './commands/demo.ts'
import { migrateCommand } from './commands/migrate.ts'
import { payCommand } from './commands/pay.ts'
import { rescheduleCommand, scheduleCommand } from './commands/schedule.ts'
import { showCommand } from './commands/show.ts'
import { startCommand } from './commands/start.ts'
import { withdrawCommand } from './commands/withdraw.ts'
import { type Environment, readConfig } from './config.ts'
import { OrderExpiryError } from './errors.ts'
import { systemClock } from './runtime/clock.ts'

const context: CommandContext = {
  readConfig: () => readConfig({ env: process.env, dotenv: readDotenv() }),
  print: (line) => void process.stdout.write(`${line}\n`),
  stdout: process.stdout,
  exitWith(code) {
    process.exitCode = code
  },
  exitNow: (code) => process.exit(code),
  clock: systemClock,
}

const program = new Command('order-expiry')
  .description('Cancels orders left unpaid past their payment deadline, and never a paid one.')
  .version(readVersion())
  .showHelpAfterError('(add --help for what is expected)')
for (const command of [
  startCommand,
  checkCommand,
  migrateCommand,
  scheduleCommand,
  rescheduleCommand,
  withdrawCommand,
  payCommand,
  showCommand,
  demoCommand,
]) {
  program.addCommand(command(context))
}

process.on('uncaughtException', fail)
try {
  await program.parseAsync()
} catch (error) {
  fail(error)
}
// Some clients hold the event loop for a while after they have been closed.
process.exit()

function fail(error: unknown): never {
  if (error instanceof OrderExpiryError) process.stderr.write(`${error.code}: ${error.message}\n`)
  else process.stderr.write(`UNEXPECTED: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(1)
}

function readDotenv(): Environment {
  try {
    return parse(readFileSync('.env'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new OrderExpiryError('INVALID_SETTINGS', `expected .env to be readable: ${String(error)}`, { cause: error })
  }
}

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
