import { Command } from 'commander'
import { type Config, SETTINGS, type SettingName } from '../config.ts'
import { formatDuration } from '../runtime/duration.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

const DURATIONS = /_(TIMEOUT|EVERY|AHEAD|SILENCE|AFTER|EVENTS)$/

/** `order-expiry check`: exit code 0 if `start` would take the settings; 1 and all their problems if not. */
export function checkCommand(context: CommandContext): Command {
  const command = new Command('check').description('check the settings and print the values in effect')
  return printsResult(context, command, () => {
    const config = context.readConfig()
    const names = Object.keys(SETTINGS) as SettingName[]
    const result = Object.fromEntries(names.map((name) => [name, describe(name, config[name])]))
    const width = Math.max(...names.map(({ length }) => length))
    const rows = names.map((name) => `${name.padEnd(width)}  ${result[name] ?? '(none)'}`)
    return { result, lines: [...rows, '', 'The settings are in order.'] }
  })
}

function describe(name: SettingName, value: unknown): string | null {
  if (value === undefined) return null
  if (name === 'METRICS_TOKEN' && (value as Config['METRICS_TOKEN'])?.token === undefined) return 'open'
  if ('secret' in SETTINGS[name]) return '(secret)'
  if (typeof value === 'number' && DURATIONS.test(name)) return formatDuration(value)
  return Array.isArray(value) ? value.join(',') : String(value)
}
