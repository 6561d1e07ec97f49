import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { judge } from './goals.ts'
import type { Measured } from './question.ts'
import type { Asked } from './question-tables.ts'

/** From the root of the project, where `npm run bench` starts. */
const RESULTS = 'bench/results'

/** What a run of the bench leaves behind, as JSON. */
export interface Results {
  /** ISO 8601. */
  date: string
  /** Less of everything was measured; the figures are worth nothing. */
  quick: boolean
  /** What it ran on and with, by name: processor, versions, settings of the servers. */
  machine: Readonly<Record<string, unknown>>
  /** What each contender is and where its settings are advised. */
  contenders: { name: string; advice: string }[]
  questions: Asked[]
  measured: Measured[]
}

/**
 * The name of the files of a run. Only a run in which every goal was measured, but for those apart, is `latest`: ratios count
 * within one run. One question alone has its own name.
 */
export function nameOfRun({ quick, questions, measured }: Pick<Results, 'quick' | 'questions' | 'measured'>): string {
  if (quick) return 'quick'
  const [first] = questions
  if (questions.length === 1 && first) return first.name
  const isWhole = judge(measured).every(({ goal, verdict }) => goal.isApart || verdict !== 'not measured')
  return isWhole ? 'latest' : 'some'
}

/** Where a file of a run is. */
export function pathOf(run: string, extension: string): string {
  return `${RESULTS}/${run}${extension}`
}

export function writeResults(path: string, results: Results): void {
  // Samples are many; each distribution is a line of its own.
  const measured = results.measured.map((one) => `    ${JSON.stringify(one)}`).join(',\n')
  const { measured: _, ...head } = results
  const rest = JSON.stringify(head, undefined, 2).slice(0, -2)
  writeText(path, `${rest},\n  "measured": [\n${measured}\n  ]\n}\n`)
}

export function readResults(path: string): Results {
  return JSON.parse(readFileSync(path, 'utf8')) as Results
}

export function writeText(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
