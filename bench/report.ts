import type { Measured, Question } from './question.ts'

/** What was measured, as JSON on standard output. */
export async function report(results: {
  measured: readonly Measured[]
  questions: readonly Question[]
  machine: Record<string, string>
  quick: boolean
}): Promise<void> {
  const { measured, machine, quick } = results
  process.stdout.write(`${JSON.stringify({ machine, quick, measured }, undefined, 2)}\n`)
}
