#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { CommandContext } from './commands/context.ts'
import type { Config } from './config.ts'
import { OrderExpiryError } from './errors.ts'
import { systemClock } from './runtime/clock.ts'
import { Signals } from './runtime/signals.ts'
import type { Environment } from './settings/setting.ts'

// Loading the rest takes a while. A daemon that is told to end before it has begun ends with 0.
const signals = new Signals({ onUnheard: (exitCode) => process.exit(process.argv[2] === 'start' ? 0 : exitCode) })
// The reader of our output may leave; that is no reason to stop cancelling orders.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error)
})
process.stderr.on('error', () => {}) // there is nowhere left to say so

const { parse } = await import('dotenv')
const { readConfig, secretsOf } = await import('./config.ts')
const { createProgram } = await import('./commands/program.ts')
const { createRedactor } = await import('./observe/redact.ts')

let secrets: string[] = []

const context: CommandContext = {
  readConfig(): Config {
    const config = readConfig({ env: process.env, dotenv: readDotenv() })
    secrets = secretsOf(config)
    return config
  },
  print: (line) => void process.stdout.write(`${line}\n`),
  progress: (line) => void process.stderr.write(`${line}\n`),
  stdout: process.stdout,
  exitWith(code) {
    process.exitCode = code
  },
  exitNow: (code) => process.exit(code),
  version: createRequire(import.meta.url)('../package.json').version,
  clock: systemClock,
  signals,
}

process.on('uncaughtException', fail)
try {
  await createProgram(context).parseAsync()
} catch (error) {
  fail(error)
}
// Some clients hold the event loop for a while after they have been closed.
process.exit()

function fail(error: unknown): never {
  const unexpected = () => `UNEXPECTED: ${error instanceof Error ? error.stack : error}`
  const text = error instanceof OrderExpiryError ? `${error.code}: ${error.message}` : unexpected()
  const redactor = createRedactor({ secrets, longest: Number.POSITIVE_INFINITY })
  process.stderr.write(`${redactor.text(text)}\n`)
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
