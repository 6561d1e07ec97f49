import { parseArgs } from 'node:util'
import type { Contender } from './contender.ts'
import { contenders } from './contenders.ts'
import { describeMachine } from './machine.ts'
import { Progress } from './progress.ts'
import type { Measured, Question } from './question.ts'
import { questions } from './questions.ts'
import { report, reportAgain } from './report.ts'
import { type Servers, startServers } from './servers.ts'

const ROUNDS = 3
/** A round that takes longer than this has got stuck. */
const ROUND_WITHIN_MS = 6 * 60_000

const HELP = `npm run bench -- [options]

  --only burst,lateness      these questions (${questions.map(({ name }) => name).join(', ')}); without it all but
                             ${questions.flatMap(({ name, onlyIfNamed }) => (onlyIfNamed ? [name] : [])).join(', ')}
  --contenders ours,bullmq   these contenders (${contenders.map(({ name }) => name).join(', ')})
  --rounds 3                 how often each question is put, where it does not say otherwise
  --quick                    less of everything, to see that the bench works; its figures are worth nothing
  --plots                    measures nothing: tables, page and plots once more from the last whole run
  --help                     shows this
`

interface Wanted {
  questions: readonly Question[]
  contenders: readonly Contender[]
  rounds: number | undefined
  quick: boolean
}

async function main(): Promise<void> {
  const wanted = readArguments()
  if (!wanted) return
  const machine = describeMachine()
  const progress = new Progress({ stream: process.stderr })
  progress.show('starting Redis and PostgreSQL')
  let servers: Servers | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      progress.end()
      // The workers go with this process.
      void Promise.resolve(servers?.stop()).finally(() => process.exit(130))
    })
  }
  servers = await startServers()
  let measured: Measured[]
  try {
    measured = await ask(wanted, servers, progress)
  } finally {
    progress.end()
    await servers.stop()
  }
  await report({ measured, questions: wanted.questions, machine, quick: wanted.quick })
  if (progress.warnings > 0) process.exitCode = 1
}

/** Puts each question in turn, for as many rounds as it wants. */
async function ask(wanted: Wanted, servers: Servers, progress: Progress): Promise<Measured[]> {
  const { quick } = wanted
  const plan = wanted.questions.map((question) => ({
    question,
    rounds: wanted.rounds ?? (quick ? 1 : (question.rounds ?? ROUNDS)),
  }))
  progress.plan(plan.map(({ question, rounds }) => ({ seconds: question.seconds ?? 30, rounds, quick })))
  const measured: Measured[] = []
  for (const { question, rounds } of plan) {
    for (let round = 1; round <= rounds; round++) {
      progress.begin(`${question.name}, round ${round} of ${rounds}`)
      const context = {
        servers,
        contenders: rotate(wanted.contenders, round - 1),
        quick,
        round,
        progress: (text: string) => progress.show(text),
        warn: (text: string) => progress.warn(text),
      }
      measured.push(...(await within(question.run(context), `${question.name}, round ${round}`)))
    }
  }
  return measured
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const start = by % Math.max(1, list.length)
  return [...list.slice(start), ...list.slice(0, start)]
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stuck = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has got stuck`)), ROUND_WITHIN_MS)
  })
  try {
    return await Promise.race([work, stuck])
  } finally {
    clearTimeout(timer)
  }
}

/** @returns undefined if nothing is to be measured, and all that was wanted is done */
function readArguments(): Wanted | undefined {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      contenders: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      plots: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(HELP)
    return undefined
  }
  if (values.plots) {
    reportAgain()
    return undefined
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds >= 1)) {
    throw new Error(`--rounds: expected a whole number from 1 on, got ${values.rounds}`)
  }
  return {
    questions: choose('--only', questions, values.only),
    contenders: choose('--contenders', contenders, values.contenders),
    rounds,
    quick: values.quick,
  }
}

/** Those that are named, or all that need not be named, in the order of all. */
function choose<T extends { name: string; onlyIfNamed?: true }>(
  option: string,
  all: readonly T[],
  names: string | undefined,
): readonly T[] {
  if (names === undefined) return all.filter(({ onlyIfNamed }) => !onlyIfNamed)
  const wanted = names.split(',')
  const unknown = wanted.filter((name) => !all.some((one) => one.name === name))
  if (unknown.length > 0) {
    throw new Error(`${option}: expected some of ${all.map(({ name }) => name).join(', ')}; got ${unknown.join(', ')}`)
  }
  return all.filter(({ name }) => wanted.includes(name))
}

try {
  await main()
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`)
  process.exitCode = 1
}
// Exits even if a contender has left something open, once all output is written.
process.stdout.write('', () => process.exit())
