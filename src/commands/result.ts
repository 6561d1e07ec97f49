import type { CommandContext } from './context.ts'

/** Prints what a command has found, as JSON or as lines for people, and sets exit code 1 if it is no success. */
export function printResult(options: {
  context: CommandContext
  json: true | undefined
  result: object
  /** Default: `name  value` of each part of the result. */
  lines?: readonly string[]
  /** Default true. */
  isSuccess?: boolean
}): void {
  const { context, json, result, lines = describe(result), isSuccess = true } = options
  if (json) context.print(JSON.stringify(result, null, 2))
  else for (const line of lines) context.print(line)
  if (!isSuccess) context.exitWith(1)
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
