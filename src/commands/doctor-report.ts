import type { Finding } from '../doctor/finding.ts'
import { count } from '../runtime/human-numbers.ts'

const WIDTH = 110
/** Where what is said begins, below the level and the name of what was looked at. */
const INDENT = 26

/** What somebody looks for stands out. */
const LEVELS: Record<Finding['level'], string> = { ok: 'ok', info: 'info', warning: 'WARNING', error: 'ERROR' }

/** The findings as lines for people: what is fine in one line each, the rest with what it means and what mends it. */
export function describeFindings(findings: readonly Finding[]): string[] {
  const lines: string[] = []
  for (const [index, found] of findings.entries()) {
    if (found.subject !== findings[index - 1]?.subject) lines.push(...(index > 0 ? [''] : []), found.subject)
    const name = found.code.slice(found.subject.length + 1)
    const [first = '', ...rest] = wrap(found.what, WIDTH - INDENT)
    lines.push(`  ${LEVELS[found.level].padEnd(8)}${name.padEnd(16)}${first}`, ...rest.map(indented))
    if (found.meaning) lines.push(...wrap(found.meaning, WIDTH - INDENT).map(indented))
    // Never wrapped: these are to be copied.
    const mends = found.fix?.split('\n') ?? []
    lines.push(...mends.map((fix, line) => indented(`${line === 0 ? 'fix:' : '    '} ${fix}`)))
  }
  return [...lines, ...howTo(findings), '', summary(findings)]
}

function indented(line: string): string {
  return `${' '.repeat(INDENT)}${line}`
}

/** Where to type the commands that are not for the shell. */
function howTo(findings: readonly Finding[]): string[] {
  const fixes = findings.flatMap(({ fix }) => fix?.split('\n') ?? [])
  const has = (pattern: RegExp) => fixes.some((fix) => pattern.test(fix))
  const lines = [
    ...(has(/^(CONFIG|BGSAVE|BGREWRITEAOF|REPLICAOF)\b/)
      ? ['Redis commands:  redis-cli -u "$REDIS_URL" <command>']
      : []),
    ...(has(/;$/) ? ['SQL statements:  psql "$DATABASE_URL", as the owner of the table or a superuser'] : []),
  ]
  return lines.length > 0 ? ['', ...lines] : []
}

function summary(findings: readonly Finding[]): string {
  const { errors, warnings } = countComplaints(findings)
  if (errors + warnings === 0) return 'Everything is in order.'
  return `${count(errors, 'error')}, ${count(warnings, 'warning')}. What each means: docs/doctor.md`
}

export function countComplaints(findings: readonly Finding[]): { errors: number; warnings: number } {
  const amount = (level: Finding['level']) => findings.filter((found) => found.level === level).length
  return { errors: amount('error'), warnings: amount('warning') }
}

/** Breaks at spaces; a word that is too long stays whole. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
