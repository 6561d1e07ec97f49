import { readFileSync, writeFileSync } from 'node:fs'
import { judge } from './goals.ts'
import { questionTables } from './question-tables.ts'
import { contendersMarkdown, goalTable, machineMarkdown } from './report-text.ts'
import { nameOfRun, type Results } from './results.ts'
import { asMarkdown } from './table.ts'
import { takeaway } from './takeaway.ts'

const PAGE = 'docs/performance.md'
/** Runs whose figures are worth a place on the page. */
const SHOWN = ['latest', 'tuning', 'million', 'pressure', 'relay']

/**
 * Writes the tables of a whole run, or of one that has a place of its own, between the markers of the page.
 *
 * @returns the path of the page, if it was written
 */
export function writeDocs(results: Results): string[] {
  if (!SHOWN.includes(nameOfRun(results))) return []
  writeFileSync(PAGE, fillPage(readFileSync(PAGE, 'utf8'), sections(results)))
  return [PAGE]
}

/** What stands between the markers, by their names. */
export function sections(results: Results): Record<string, string[]> {
  const { date, questions, measured } = results
  const day = date.slice(0, 10)
  const asked = questions.filter(({ name }) => measured.some(({ question }) => question === name))
  const byQuestion = asked.map((question): [string, string[]] => {
    const tables = questionTables(question, measured).map(asMarkdown)
    const apart = judge(measured).filter(({ goal }) => goal.isApart && goal.of.question === question.name)
    if (apart.length > 0) tables.push(asMarkdown(goalTable(apart)))
    return [question.name, [`${question.title} (${day})`, ...tables.flatMap((lines) => ['', ...lines])]]
  })
  if (nameOfRun(results) !== 'latest') return Object.fromEntries(byQuestion)
  const goals = asMarkdown(goalTable(judge(measured).filter(({ goal }) => !goal.isApart)))
  const summary = takeaway(measured)
  const rounds = Math.max(...measured.map(({ round }) => round))
  const machine = [
    `Measured on ${day}, in ${rounds} ${rounds === 1 ? 'round' : 'rounds'}.`,
    '',
    ...machineMarkdown(results),
  ]
  return {
    ...(summary !== undefined && { takeaway: [summary] }),
    ...Object.fromEntries(byQuestion),
    goals,
    machine,
    contenders: contendersMarkdown(results),
  }
}

/** The page with each marked section replaced; a section that is not given stays as it is. */
export function fillPage(page: string, contents: Readonly<Record<string, readonly string[]>>): string {
  return page.replace(SECTION, (whole, begin: string, name: string, end: string) => {
    const lines = contents[name]
    return lines === undefined ? whole : [begin, '', ...lines, '', end].join('\n')
  })
}

/** `<!-- begin NAME -->` to `<!-- end NAME -->`. */
const SECTION = /(<!-- begin ([\w-]+) -->).*?(<!-- end \2 -->)/gs
