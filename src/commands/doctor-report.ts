import type { Finding } from '../doctor/finding.ts'
import { count } from '../runtime/human-numbers.ts'
import { visibleLine } from '../runtime/visible.ts'

const WIDTH = 110
/** The column where the text begins, after the level and the name. */
const INDENT = 26

const LEVELS: Record<Finding['level'], string> = { ok: 'ok', info: 'info', warning: 'WARNING', error: 'ERROR' }

const SHELLS = [
  { fix: /^(CONFIG|BGSAVE|BGREWRITEAOF|REPLICAOF)\b/, how: 'Redis commands:  redis-cli -u "$REDIS_URL" <command>' },
  { fix: /;$/, how: 'SQL statements:  psql "$DATABASE_URL", as the owner of the table or a superuser' },
]

/** Lines for people: one for each finding that is fine; the others with their meaning and their fix. */
export function describeFindings(findings: readonly Finding[]): string[] {
  const lines: string[] = []
  for (const [index, found] of findings.entries()) {
    if (found.subject !== findings[index - 1]?.subject) lines.push(...(index > 0 ? [''] : []), found.subject)
    const name = found.code.slice(found.subject.length + 1)
    const [first = '', ...rest] = wrap(visibleLine(found.what))
    lines.push(`  ${LEVELS[found.level].padEnd(8)}${name.padEnd(16)}${first}`, ...rest.map(indented))
    if (found.meaning) lines.push(...wrap(visibleLine(found.meaning)).map(indented))
    // Never wrapped: people copy these.
    const mends = found.fix?.split('\n') ?? []
    lines.push(...mends.map((fix, line) => indented(`${line === 0 ? 'fix:' : '    '} ${fix}`)))
  }
  return [...lines, ...howTo(findings), '', summary(findings)]
}

function indented(line: string): string {
  return `${' '.repeat(INDENT)}${line}`
}

/** Where to type the fixes that are not for the shell. */
function howTo(findings: readonly Finding[]): string[] {
  const fixes = findings.flatMap(({ fix }) => fix?.split('\n') ?? [])
  const lines = SHELLS.flatMap(({ fix, how }) => (fixes.some((line) => fix.test(line)) ? [how] : []))
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
function wrap(text: string): string[] {
  const width = WIDTH - INDENT
  return text.match(new RegExp(`\\S.{0,${width - 1}}(?=\\s|$)|\\S+`, 'g')) ?? []
}
