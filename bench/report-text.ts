import { describeBound, type Judged, judge } from './goals.ts'
import { questionTables } from './question-tables.ts'
import type { Results } from './results.ts'
import { asMarkdown, asText, formatNumber, MARGIN, plain, type Style, type Table } from './table.ts'
import { takeaway } from './takeaway.ts'

/** What is shown on the terminal, in lines. */
export function reportText(results: Results, style: Style = plain): string[] {
  const lines: string[] = []
  for (const question of results.questions) {
    const tables = questionTables(question, results.measured)
    if (tables.length === 0) continue
    lines.push('', `${style.bold(question.name.toUpperCase())}  ${style.dim(question.title)}`)
    for (const table of tables) lines.push('', ...asText(table, style))
  }
  lines.push('', style.dim(noteOn(results).join(' ')))
  const summary = results.quick ? undefined : takeaway(results.measured)
  if (summary !== undefined) lines.push('', summary)
  const judged = relevant(results)
  if (judged.length > 0) lines.push('', style.bold('GOALS'), '', ...goalLines(judged, style))
  return lines
}

/** The same as Markdown, in lines. */
export function reportMarkdown(results: Results): string[] {
  const lines = ['# Bench', '', `${results.date.slice(0, 10)}. ${noteOn(results).join(' ')}`, '']
  const summary = results.quick ? undefined : takeaway(results.measured)
  if (summary !== undefined) lines.push(summary, '')
  lines.push(...machineMarkdown(results), '', ...contendersMarkdown(results))
  for (const question of results.questions) {
    const tables = questionTables(question, results.measured)
    if (tables.length === 0) continue
    lines.push('', `## ${question.name}`, '', question.title, ...tables.flatMap((table) => ['', ...asMarkdown(table)]))
  }
  const judged = relevant(results)
  if (judged.length > 0) lines.push('', '## Goals', '', ...asMarkdown(goalTable(judged)))
  return lines
}

/** The goals with what was measured, as a table. */
export function goalTable(judged: readonly Judged[]): Table {
  const rows = judged.map(({ goal, figure, verdict }) => ({
    name: goal.title,
    cells: [{ text: describeFigure({ goal, figure }) }, { text: describeBound(goal) }, { text: verdict }],
  }))
  return { heading: '', head: ['goal', 'measured', 'target', ''], rows }
}

/** What it ran on, a line for each name. */
export function machineMarkdown({ machine }: Results): string[] {
  return Object.entries(machine).map(([name, value]) => `- ${name}: ${inWords(value)}`)
}

/** Who was measured, a line for each. */
export function contendersMarkdown({ contenders }: Results): string[] {
  return contenders.map(({ name, advice }) => `- **${name}**: ${advice}`)
}

function goalLines(judged: readonly Judged[], style: Style): string[] {
  const [head = '', ...lines] = asText(goalTable(judged), style)
  return [
    head,
    ...lines.map((line, index) => {
      const words = line.slice(MARGIN.length)
      const verdict = judged[index]?.verdict
      if (verdict === 'reached') return `${style.good('✓')} ${words}`
      return verdict === 'missed' ? style.bad(`✗ ${words}`) : style.dim(`  ${words}`)
    }),
  ]
}

/** In a run of some questions, only the goals that they answer; in a quick one, none. */
function relevant({ quick, questions, measured }: Results): Judged[] {
  if (quick) return []
  const asked = new Set(questions.map(({ name }) => name))
  return judge(measured).filter(({ goal }) => asked.has(goal.of.question))
}

function describeFigure({ goal, figure }: Pick<Judged, 'goal' | 'figure'>): string {
  if (figure === undefined) return '–'
  return `${formatNumber(figure, goal.decimals)}${goal.unit && ` ${goal.unit}`}`
}

function noteOn({ quick, questions, measured }: Results): string[] {
  if (quick) return ['A quick run: it shows that the bench works; its figures are worth nothing.']
  const rounds = Math.max(0, ...measured.map(({ round }) => round))
  const tables = questions.flatMap((question) => questionTables(question, measured))
  const hasRatios = tables.some(({ rows }) => rows.some(({ cells }) => cells.some(({ note }) => note !== undefined)))
  return [
    ...(rounds > 1 ? [`Medians over up to ${rounds} rounds.`] : []),
    ...(hasRatios ? ['n × is the ratio to ours, taken within each round.'] : []),
  ]
}

function inWords(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  const parts = Object.entries(value).map(([name, part]) => `${name} ${inWords(part)}`)
  return parts.join(', ')
}
