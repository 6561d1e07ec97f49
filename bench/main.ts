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
/** A round that takes this much longer than expected has got stuck. */
const STUCK_AFTER_MS = 6 * 60_000
const SECONDS = 30
const MINUTES = 30
const QUICK_MINUTES = 0.1

const HELP = `npm run bench -- [options]

  --only burst,lateness      these questions (${questions.map(({ name }) => name).join(', ')}); without it all but
                             ${questions.flatMap(({ name, onlyIfNamed, isLong }) => (onlyIfNamed || isLong ? [name] : [])).join(', ')}
  --long                     also those that take long (${questions.flatMap(({ name, isLong }) => (isLong ? [name] : [])).join(', ')})
  --minutes ${MINUTES}               how long those take
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
  minutes: number
  quick: boolean
}

async function main(): Promise<void> {
  const wanted = readArguments()
  if (!wanted) return
  const progress = new Progress({ stream: process.stderr })
  progress.show('looking at the machine')
  const machine = await describeMachine()
  progress.show('starting Redis and PostgreSQL')
  let servers: Servers | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      progress.end()
      // The workers go with this process.
      void Promise.resolve(servers?.stop()).finally(() => process.exit(130))
    })
  }
  const ready = wanted.contenders.filter((contender) => isReady(contender, progress))
  servers = await startServers()
  let measured: Measured[]
  try {
    measured = await ask({ ...wanted, contenders: ready }, servers, progress)
  } finally {
    progress.end()
    await servers.stop()
  }
  await report({ measured, questions: wanted.questions, machine, quick: wanted.quick })
  if (progress.warnings > 0) process.exitCode = 1
}

/** One that cannot be measured here is told of, and left out. */
function isReady({ name, prepare }: Contender, progress: Progress): boolean {
  if (!prepare) return true
  progress.show(`making ${name} ready`)
  const why = prepare()
  if (why !== undefined) progress.note(`${name} is left out: ${why}`)
  return why === undefined
}

/** Puts each question in turn, for as many rounds as it wants. */
async function ask(wanted: Wanted, servers: Servers, progress: Progress): Promise<Measured[]> {
  const { quick, minutes } = wanted
  const plan = wanted.questions.map((question) => ({
    question,
    rounds: wanted.rounds ?? (quick ? 1 : (question.rounds ?? ROUNDS)),
    seconds: (question.seconds ?? SECONDS) + (question.isLong ? minutes * 60 : 0),
  }))
  progress.plan(plan.map(({ seconds, rounds }) => ({ seconds, rounds, quick })))
  const measured: Measured[] = []
  for (const { question, rounds, seconds } of plan) {
    for (let round = 1; round <= rounds; round++) {
      progress.begin(`${question.name}, round ${round} of ${rounds}`)
      const context = {
        servers,
        contenders: rotate(wanted.contenders, round - 1),
        quick,
        round,
        minutes,
        progress: (text: string) => progress.show(text),
        warn: (text: string) => progress.warn(text),
      }
      const withinMs = seconds * 1_000 + STUCK_AFTER_MS
      measured.push(...(await within(withinMs, question.run(context), `${question.name}, round ${round}`)))
    }
  }
  return measured
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const start = by % Math.max(1, list.length)
  return [...list.slice(start), ...list.slice(0, start)]
}

async function within<T>(ms: number, work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stuck = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has got stuck`)), ms)
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
      long: { type: 'boolean', default: false },
      minutes: { type: 'string' },
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
  const minutes = Number(values.minutes ?? (values.quick ? QUICK_MINUTES : MINUTES))
  if (!(minutes > 0 && minutes < Number.POSITIVE_INFINITY)) {
    throw new Error(`--minutes: expected a number above 0, got ${values.minutes}`)
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds >= 1)) {
    throw new Error(`--rounds: expected a whole number from 1 on, got ${values.rounds}`)
  }
  return {
    questions: choose(
      '--only',
      questions,
      values.only,
      ({ onlyIfNamed, isLong }) => !onlyIfNamed && (!isLong || values.long),
    ),
    contenders: choose('--contenders', contenders, values.contenders),
    rounds,
    minutes,
    quick: values.quick,
  }
}

/** Those that are named, or the usual ones, in the order of all. */
function choose<T extends { name: string }>(
  option: string,
  all: readonly T[],
  names: string | undefined,
  isUsual: (one: T) => boolean = () => true,
): readonly T[] {
  if (names === undefined) return all.filter(isUsual)
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
