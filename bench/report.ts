import { existsSync } from 'node:fs'
import { styleText } from 'node:util'
import { contenders } from './contenders.ts'
import { writeDocs } from './docs.ts'
import { writePlots } from './plots.ts'
import type { Measured, Question } from './question.ts'
import { reportMarkdown, reportText } from './report-text.ts'
import { nameOfRun, pathOf, type Results, readResults, writeResults, writeText } from './results.ts'
import { plain, type Style } from './table.ts'

/**
 * Afterwards the tables and the goals are on the terminal, and in bench/results/ together with all that was measured; after a
 * whole run also in docs/performance.md, with the plots. A goal that was missed is reported, not thrown.
 */
export async function report(options: {
  measured: readonly Measured[]
  questions: readonly Question[]
  /** What it ran on and with, by name; shown as it is. */
  machine: Readonly<Record<string, unknown>>
  quick: boolean
}): Promise<void> {
  const { measured, questions, machine, quick } = options
  const results: Results = {
    date: new Date().toISOString(),
    quick,
    machine,
    contenders: contenders
      .filter(({ name }) => measured.some(({ contender }) => contender === name))
      .map(({ name, advice }) => ({ name, advice })),
    questions: questions.map(({ name, title, columns }) => ({ name, title, columns })),
    measured: [...measured],
  }
  const run = nameOfRun(results)
  writeResults(pathOf(run, '.json'), results)
  show(results, [pathOf(run, '.json')])
}

/** Tables, page and plots once more, from what the last whole run has left behind. @throws if there was none */
export function reportAgain(): void {
  const path = pathOf('latest', '.json')
  if (!existsSync(path)) throw new Error(`expected ${path}, which a whole run writes`)
  show(readResults(path), [])
}

function show(results: Results, written: readonly string[]): void {
  const style = process.stdout.isTTY && !process.env.NO_COLOR ? colours : plain
  process.stdout.write(`${reportText(results, style).join('\n')}\n`)
  const markdown = pathOf(nameOfRun(results), '.md')
  writeText(markdown, `${reportMarkdown(results).join('\n')}\n`)
  const paths = [...written, markdown, ...writePlots(results), ...writeDocs(results)]
  process.stdout.write(`\n${style.dim(`Written: ${paths.join(', ')}`)}\n`)
}

const colours: Style = {
  bold: (text) => styleText('bold', text),
  dim: (text) => styleText('dim', text),
  good: (text) => styleText('green', text),
  bad: (text) => styleText('red', text),
}
