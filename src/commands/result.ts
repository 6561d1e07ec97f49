import type { CommandContext } from './context.ts'

/** Prints what a command has found, as JSON or as `name  value` lines, and sets the exit code. */
export function printResult(options: {
  context: CommandContext
  json: true | undefined
  result: object
  isSuccess: boolean
}): void {
  const { context, json, result, isSuccess } = options
  if (json) context.print(JSON.stringify(result, null, 2))
  else for (const line of describe(result, '')) context.print(line)
  context.exitWith(isSuccess ? 0 : 1)
}

function describe(value: object, indent: string): string[] {
  return Object.entries(value).flatMap(([name, part]) => {
    if (part === undefined) return []
    const label = `${indent}${name}`.padEnd(16)
    if (part instanceof Date) return [`${label}${part.toISOString()}`]
    if (typeof part === 'object' && part !== null) return [label.trimEnd(), ...describe(part, `${indent}  `)]
    return [`${label}${part}`]
  })
}
