import type { Finding, FindingCode } from '../../src/doctor/finding.ts'

/** The level and what is said of each finding with this code. */
export function ofCode(findings: readonly Finding[], code: FindingCode): [level: string, what: string][] {
  return findings.filter((found) => found.code === code).map(({ level, what }) => [level, what])
}

/** The codes of warnings and errors. */
export function complaints(findings: readonly Finding[]): string[] {
  return findings.filter(({ level }) => level === 'warning' || level === 'error').map(({ code }) => code)
}

/** What is to be typed to mend what has this code: the lines that are not for people. */
export function fixesOf(findings: readonly Finding[], code: FindingCode): string[] {
  const lines = findings.flatMap((found) => (found.code === code ? (found.fix ?? '').split('\n') : []))
  return lines.filter((line) => line !== '' && !line.startsWith('#'))
}
