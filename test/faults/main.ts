import { parseArgs } from 'node:util'
import { databaseUrl } from '../helpers/env.ts'
import { allowSharedServers, stopSharedServers } from '../helpers/shared-servers.ts'
import { cases } from './cases/all.ts'
import { randomCase } from './cases/random-faults.ts'
import type { FaultCase } from './harness/fault-case.ts'
import { type CaseResult, provePromises, RESULTS } from './harness/run-case.ts'
import { sideBySide } from './harness/side-by-side.ts'
import { World } from './harness/world.ts'
import { AGGREGATE, collect, PAGE, writeFaults, writeMutations } from './report/report.ts'
import { runMutations } from './run-mutations.ts'

const HELP = `npm run faults -- [--case TEXT]... [--seed N] [--runs K] [--lanes L]
npm run faults -- --minutes M [--seed N] [--runs K]
npm run faults -- --mutations [--seed N]
npm run faults -- [--collect] [--report]

  --case TEXT  only the cases whose name contains this; may be given more than once (default: all)
  --seed N     default 1; further runs count on from it
  --runs K     how often; default 1
  --lanes L    cases at a time; default 4
  --minutes M  no single cases, but random faults for so long
  --mutations  takes parts out of the build, one at a time, to see which cases notice; writes it into ${PAGE}
  --collect    sums up all runs recorded here in ${RESULTS} into ${AGGREGATE}
  --report     writes that into ${PAGE}
  --help       shows this
`

const values = readArguments()

function readArguments() {
  try {
    const parsed = parseArgs({
      options: {
        case: { type: 'string', multiple: true, default: [''] },
        seed: { type: 'string', default: '1' },
        runs: { type: 'string', default: '1' },
        minutes: { type: 'string' },
        mutations: { type: 'boolean', default: false },
        collect: { type: 'boolean', default: false },
        report: { type: 'boolean', default: false },
        lanes: { type: 'string', default: '4' },
        help: { type: 'boolean', default: false },
      },
    })
    const { seed, runs, lanes, minutes, ...rest } = parsed.values
    return {
      ...rest,
      seed: wholeNumber('--seed', seed, 0),
      runs: wholeNumber('--runs', runs, 1),
      lanes: wholeNumber('--lanes', lanes, 1),
      minutes: minutes === undefined ? undefined : wholeNumber('--minutes', minutes, 1),
    }
  } catch (error) {
    return refuse(error)
  }
}

function wholeNumber(option: string, text: string, least: number): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= least) return number
  throw new Error(`${option}: expected a whole number from ${least} on, got ${JSON.stringify(text)}`)
}

/** For what the caller has to mend. */
function refuse(error: unknown): never {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(1)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function chooseCases(): readonly FaultCase[] {
  const { minutes } = values
  if (minutes !== undefined) {
    const ms = minutes * 60_000
    return [randomCase({ name: 'random faults', ms, replay: `--minutes ${minutes}`, onProgress: print })]
  }
  const wanted = cases.filter(({ name }) => values.case.some((text) => name.includes(text)))
  if (wanted.length === 0) refuse(new Error(`no case is called ${values.case.join(' or ')}`))
  return wanted
}

async function runCases(wanted: readonly FaultCase[]): Promise<boolean> {
  const lanes = values.minutes === undefined ? values.lanes : 1
  let isGreen = true
  const works = Array.from({ length: values.runs }, (_, run) => values.seed + run).flatMap((seed) =>
    wanted.map((fault) => ({
      seconds: fault.seconds,
      isAlone: fault.isAlone,
      run: () =>
        provePromises(fault, seed).then(
          (result) => print(describe(result)),
          (error: Error) => {
            isGreen = false
            print(`RED    ${fault.name}\n${error.message}`)
          },
        ),
    })),
  )
  await Promise.all(sideBySide(works, lanes))
  return isGreen
}

function describe(result: CaseResult): string {
  const { case: name, seed, orders, cancelled, p50, max, maxForgotten, tookMs, notes } = result
  const recovery = `recovery p50 ${p50}, max ${max}, of what Redis did not know ${maxForgotten} ms`
  const parts = [`${orders} orders, ${cancelled} cancelled`, recovery, ...notes, `${Math.round(tookMs / 1_000)} s`]
  return `green  ${name} (seed ${seed}): ${parts.join('; ')}`
}

/** Leaves no server and no worker behind. */
async function abort(exitCode: number): Promise<never> {
  await World.destroyAll().catch(() => {})
  await stopSharedServers()
  process.exit(exitCode)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void abort(130))
process.once('uncaughtException', (error) => {
  print(`the suite itself has failed: ${error.stack}`)
  void abort(1)
})

async function run(): Promise<boolean> {
  const wanted = chooseCases()
  allowSharedServers()
  try {
    databaseUrl() // before any case, whose proxies would stand still while the server starts

    if (!values.mutations) return await runCases(wanted)
    writeMutations(await runMutations({ seed: values.seed, print }))
    return true
  } finally {
    await stopSharedServers()
  }
}

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  try {
    if (values.collect) collect()
    if (values.report) writeFaults(cases)
  } catch (error) {
    refuse(error)
  }
  if (!values.collect && !values.report) process.exitCode = (await run()) ? 0 : 1
}
await main()
