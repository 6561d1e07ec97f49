import { styleText } from 'node:util'
import { writeDocs } from './docs.ts'
import { writePlots } from './plots.ts'
import type { Measured, Question } from './question.ts'
import { reportMarkdown, reportText } from './report-text.ts'
import { nameOfRun, pathOf, type Results, writeResults, writeText } from './results.ts'
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
    questions: questions.map(({ name, title, columns }) => ({ name, title, columns })),
    measured: [...measured],
  }
  const run = nameOfRun(results)
  const style = process.stdout.isTTY && !process.env.NO_COLOR ? colours : plain
  process.stdout.write(`${reportText(results, style).join('\n')}\n`)
  const written = [pathOf(run, '.json'), pathOf(run, '.md')]
  writeResults(pathOf(run, '.json'), results)
  writeText(pathOf(run, '.md'), `${reportMarkdown(results).join('\n')}\n`)
  written.push(...writePlots(results))
  written.push(...writeDocs(results))
  process.stdout.write(`\n${style.dim(`Written: ${written.join(', ')}`)}\n`)
}

const colours: Style = {
  bold: (text) => styleText('bold', text),
  dim: (text) => styleText('dim', text),
  good: (text) => styleText('green', text),
  bad: (text) => styleText('red', text),
}
