#!/usr/bin/env node
import { createRequire } from 'node:module'
import type { CommandContext } from './commands/context.ts'
import type { Config } from './config.ts'
import { OrderExpiryError } from './errors.ts'
import { systemClock } from './runtime/clock.ts'
import { Signals } from './runtime/signals.ts'
import type { EnvFileChoice } from './settings/env-file.ts'

const [command] = process.argv.slice(2).filter((arg, n, args) => !arg.startsWith('-') && args[n - 1] !== '--env-file')
const isDaemon = command === 'start'
// Loading the rest takes a while. A daemon that is told to end before it has begun ends with 0.
const signals = new Signals({
  clock: systemClock,
  onUnheard: (exitCode) => process.exit(isDaemon ? 0 : exitCode),
})
// The reader of our output may leave; that is no reason to stop cancelling orders.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error)
})
process.stderr.on('error', () => {}) // there is nowhere left to say so

const { isSetting, readConfig, secretsOf } = await import('./config.ts')
const { createProgram } = await import('./commands/program.ts')
const { createRedactor } = await import('./observe/redact.ts')
const { visibleLine, visibleLines } = await import('./runtime/visible.ts')
const { parseEnvFile, readEnvFile, withoutNodesReading } = await import('./settings/env-file.ts')

let secrets: string[] = []
let envFileChoice: EnvFileChoice

const context: CommandContext = {
  readConfig({ onEnvFile, only } = {}): Config {
    const file = readEnvFile(envFileChoice)
    const told = onEnvFile ?? ((path: string) => context.progress(`further settings: ${path}`))
    if (file) told(file.path)
    const { values: dotenv, problems } = parseEnvFile(file?.text ?? '', isSetting)
    const env = envFileChoice ? withoutNodesReading(process.env, file?.text ?? '') : process.env
    const config = readConfig({ env, dotenv, problems, only })
    secrets = secretsOf(config)
    return config
  },
  chooseEnvFile(choice) {
    envFileChoice = choice
  },
  print: (line) => void process.stdout.write(`${visibleLine(line)}\n`),
  progress: (line) => void process.stderr.write(`${visibleLine(line)}\n`),
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
// What was printed may still be on its way to a slow reader. That of a daemon's log may never read on: it is not waited for.
if (!isDaemon) await new Promise((resolve) => process.stdout.write('', resolve))
// Some clients hold the event loop for a while after they have been closed.
process.exit()

function fail(error: unknown): never {
  const unexpected = () => `UNEXPECTED: ${error instanceof Error ? error.stack : error}`
  const text = error instanceof OrderExpiryError ? `${error.code}: ${error.message}` : unexpected()
  const redactor = createRedactor({ secrets, longest: Number.POSITIVE_INFINITY })
  process.stderr.write(`${visibleLines(redactor.text(text))}\n`)
  process.exit(1)
}
