import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { FaultCase } from '../harness/fault-case.ts'
import { type CaseResult, RESULTS } from '../harness/run-case.ts'

/** Committed: what all runs of each case have shown. */
export const AGGREGATE = 'test/faults/report/results.json'
export const PAGE = 'docs/reliability.md'

interface Aggregate {
  from: string
  to: string
  node: string
  redis: string
  postgres: string
  cases: Record<string, CaseAggregate>
}

/** Milliseconds; null: no order was left to be cancelled after the healing. */
interface CaseAggregate {
  runs: number
  /** Runs in which a promise was broken. */
  broken: number
  orders: number
  /** The median of the runs' medians. */
  p50: number | null
  max: number | null
  maxForgotten: number | null
}

/** Sums up every run that `.faults/results.jsonl` has recorded. */
export function collect(): void {
  if (!existsSync(RESULTS)) throw new Error(`expected ${RESULTS}, which \`npm run faults\` writes: run it first`)
  const runs = readFileSync(RESULTS, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CaseResult)
  const dates = runs.map(({ at }) => at.slice(0, 10)).sort()
  const aggregate: Aggregate = {
    from: dates[0] ?? '',
    to: dates.at(-1) ?? '',
    node: distinct(runs.map(({ node }) => node)).join(', '),
    redis: distinct(runs.map(({ redis }) => redis)).join(', '),
    postgres: distinct(runs.flatMap(({ postgres = [] }) => postgres)).join(', '),
    cases: {},
  }
  for (const name of distinct(runs.map((run) => run.case))) {
    const own = runs.filter((run) => run.case === name)
    aggregate.cases[name] = {
      runs: own.length,
      broken: own.filter(({ violations }) => violations.length > 0).length,
      orders: own.reduce((sum, { orders }) => sum + orders, 0),
      p50: median(numbers(own.map(({ p50 }) => p50))),
      max: most(numbers(own.map(({ max }) => max))),
      maxForgotten: most(numbers(own.map(({ maxForgotten }) => maxForgotten))),
    }
  }
  writeFileSync(AGGREGATE, `${JSON.stringify(aggregate, undefined, 2)}\n`)
}

/** Writes the table of faults into the page. */
export function writeFaults(cases: readonly FaultCase[]): void {
  if (!existsSync(AGGREGATE)) throw new Error(`expected ${AGGREGATE}: run \`npm run faults\`, then add --collect`)
  const { from, to, node, redis, postgres, cases: results } = JSON.parse(readFileSync(AGGREGATE, 'utf8')) as Aggregate
  const rows = cases.map(({ name, injected, promise }) => {
    const { runs = 0, broken = 0, p50, max, maxForgotten } = results[name] ?? {}
    return [name, injected, promise, `${runs - broken} of ${runs}`, ...[p50, max, maxForgotten].map(inWords)]
  })
  const orders = Object.values(results).reduce((sum, result) => sum + result.orders, 0)
  const total = Object.values(results).reduce((sum, { runs }) => sum + runs, 0)
  const days = from === to ? from : `${from} to ${to}`
  writeSection('faults', [
    `Measured ${days} in ${total} runs with ${orders.toLocaleString('en')} orders; Node ${node}, Redis ${redis}, PostgreSQL ${postgres}, two shared cores.`,
    '',
    ...table(
      ['fault', 'how it is injected', 'promise', 'runs that kept it', 'recovery p50', 'max', 'max, unknown to Redis'],
      rows,
    ),
  ])
}

/** Which case has caught which mutation. */
export function writeMutations(caught: readonly { mutation: string; name: string; broken: string }[]): void {
  const rows = caught.map(({ mutation, name, broken }) => [mutation, name, `\`${broken.replaceAll('|', '\\|')}\``])
  writeSection('mutations', table(['taken out', 'case that goes red', 'what it says'], rows))
}

/** Replaces what stands between the two marker comments of a section. */
function writeSection(name: string, lines: readonly string[]): void {
  const page = readFileSync(PAGE, 'utf8')
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`]
  const [before, rest] = page.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`expected ${PAGE} to have ${begin} and ${end}`)
  writeFileSync(PAGE, [before, begin, '\n\n', lines.join('\n'), '\n\n', end, after].join(''))
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}

function inWords(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].sort()
}

function numbers(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null).sort((a, b) => a - b)
}

function median(sorted: readonly number[]): number | null {
  return sorted[Math.floor(sorted.length / 2)] ?? null
}

function most(sorted: readonly number[]): number | null {
  return sorted.at(-1) ?? null
}
