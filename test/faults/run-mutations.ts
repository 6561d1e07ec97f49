import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { cases } from './cases/all.ts'
import { runCase } from './harness/run-case.ts'
import { MUTATIONS, type Mutation } from './mutations.ts'

/** What a mutation has been caught by, and what was said of the first of the promises that were broken. */
interface Caught {
  mutation: string
  name: string
  broken: string
}

/**
 * Takes each part out of a copy of `dist`, one at a time, and runs the cases that must notice against it.
 *
 * @throws if a part is not where it was, or one of its cases has not noticed that it is gone
 */
export async function runMutations(options: { seed: number; print: (line: string) => void }): Promise<Caught[]> {
  const { seed, print } = options
  const caught: Caught[] = []
  for (const mutation of MUTATIONS) {
    process.env.FAULTS_CLI = build(mutation)
    print(`without ${mutation.name}:`)
    const wanted = cases.filter(({ name }) => mutation.cases.includes(name))
    if (wanted.length !== mutation.cases.length) throw new Error(`expected cases ${mutation.cases.join(', ')}`)
    const results = await Promise.allSettled(wanted.map((fault) => runCase(fault, seed, { isRecorded: false })))
    for (const [index, result] of results.entries()) {
      const name = wanted[index]?.name ?? ''
      const broken = result.status === 'fulfilled' ? result.value.violations.toSorted()[0] : String(result.reason)
      print(broken ? `  red    ${name}: ${broken}` : `  green  ${name}`)
      if (broken) caught.push({ mutation: mutation.name, name, broken })
    }
    const unaware = mutation.cases.filter(
      (name) => !caught.some((one) => one.mutation === mutation.name && one.name === name),
    )
    if (unaware.length > 0)
      throw new Error(`not noticed that something is gone, by ${unaware.join(', ')}: ${mutation.name}`)
  }
  delete process.env.FAULTS_CLI
  return caught
}

/** @returns the path of the mutated cli.js */
function build({ edits }: Mutation): string {
  const dir = resolve('.faults/mutant') // below the repository, so that it finds the packages
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  cpSync('dist', join(dir, 'dist'), { recursive: true })
  cpSync('docs/stock', join(dir, 'docs/stock'), { recursive: true })
  cpSync('package.json', join(dir, 'package.json'))
  for (const [file, text] of edit(edits)) writeFileSync(join(dir, 'dist', file), text)
  return join(dir, 'dist/cli.js')
}

/** @returns the new text of each file */
function edit(edits: Mutation['edits']): Map<string, string> {
  const texts = new Map<string, string>()
  for (const { file, from, to } of edits) {
    const before = texts.get(file) ?? readFileSync(join('dist', file), 'utf8')
    const after = before.replace(from, () => to)
    if (after === before) throw new Error(`expected ${file} to contain ${from}`)
    texts.set(file, after)
  }
  return texts
}

/** @throws if a part that a mutation takes out is not where it was */
export function checkMutations(): void {
  for (const { edits } of MUTATIONS) edit(edits)
}
