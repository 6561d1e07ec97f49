import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const page = readFileSync(resolve('docs/orms.md'), 'utf8')

/** What ORDERS_SET is in the docs. */
export const ORDERS_SET = blockOf('sh').replace(/^ORDERS_SET="(.*)"\n$/, '$1')

/** The trigger of the docs. */
export const TRIGGER = blockOf('sql')

/** A row of a table of the docs: the call, and what tells whether it came in time. */
interface Call {
  code: string
  verdict: string
}

/** What a section of the docs has for an ORM. */
export function callOf(orm: string, { section }: { section: string }): Call {
  const text = page.split(/^## /m).find((part) => part.startsWith(section)) ?? ''
  const row = new RegExp(`^\\| ${orm}\\b.*? \\| \`([^\`]+)\`.* \\| (.+) \\|$`, 'm').exec(text)
  if (!row) throw new Error(`expected docs/orms.md to have a call for ${orm} in "${section}"`)
  const [, code = '', verdict = ''] = row
  return { code, verdict }
}

/** Runs an expression as it is in the docs, with these names in scope, and gives what it resolves to. */
export async function run(code: string, names: Record<string, unknown>): Promise<unknown> {
  return new Function(...Object.keys(names), `return ${code}`)(...Object.values(names))
}

function blockOf(language: string): string {
  const block = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)?.[1]
  if (!block) throw new Error(`expected docs/orms.md to have a block of ${language}`)
  return block
}
