import type { Command } from 'commander'
import type { CommandContext } from './context.ts'

interface Found {
  result: object
  /** Default: `name  value` of each part of the result. */
  lines?: readonly string[]
  /** Default true. */
  isSuccess?: boolean
}

/** The command prints what `find` finds, as JSON with --json or as lines for people. Exit code 1 if it failed. */
export function printsResult<Given extends unknown[]>(
  context: CommandContext,
  command: Command,
  find: (...given: Given) => Found | Promise<Found>,
): Command {
  return command.option('--json', 'print JSON').action(async (...given) => {
    const { result, lines = describe(result), isSuccess = true } = await find(...(given as Given))
    const printed = command.opts().json ? JSON.stringify(result, null, 2).split('\n') : lines
    for (const line of printed) context.print(line)
    if (!isSuccess) context.exitWith(1)
  })
}

function describe(value: object, indent = ''): string[] {
  return Object.entries(value).flatMap(([name, part]) => {
    if (part === undefined) return []
    const label = `${indent}${name}`.padEnd(16)
    if (part instanceof Date) return [`${label}${part.toISOString()}`]
    if (typeof part === 'object' && part !== null) return [label.trimEnd(), ...describe(part, `${indent}  `)]
    return [`${label}${part}`]
  })
}
