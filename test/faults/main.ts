import { parseArgs } from 'node:util'
import setup from '../helpers/global-setup.ts'
import teardown from '../helpers/global-teardown.ts'
import { cases } from './cases/all.ts'
import type { FaultCase } from './fault-case.ts'
import { runMutations } from './mutations.ts'
import { randomCase } from './random-faults.ts'
import { collect, writeFaults, writeMutations } from './report.ts'
import { type CaseResult, provePromises } from './run-case.ts'
import { sideBySide } from './side-by-side.ts'
import { World } from './world.ts'

/*
 * npm run faults -- [--case TEXT] [--seed N] [--runs K] [--lanes L]
 * npm run faults -- --minutes M [--seed N] [--runs K]
 * npm run faults -- --mutations [--seed N]
 * npm run faults -- --collect --report
 *
 *   --case   only the cases whose name contains this, may be repeated; all of them if it is not given
 *   --seed   default 1; further runs count on from it
 *   --lanes  cases at a time
 *   --minutes  no single cases, but random faults for so long
 *   --mutations  takes parts out of the build, one at a time, to see which cases notice; writes it into docs/reliability.md
 *   --collect  sums up all runs that were recorded here into test/faults/results.json
 *   --report  writes that into docs/reliability.md
 */
const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: [''] },
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    mutations: { type: 'boolean', default: false },
    collect: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    lanes: { type: 'string', default: '4' },
  },
})

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function chooseCases(): readonly FaultCase[] {
  const { minutes } = values
  if (minutes !== undefined) {
    const ms = Number(minutes) * 60_000
    return [randomCase({ name: 'random faults', ms, replay: `--minutes ${minutes}`, onProgress: print })]
  }
  const wanted = cases.filter(({ name }) => values.case.some((text) => name.includes(text)))
  if (wanted.length === 0) throw new Error(`no case is called ${values.case}`)
  return wanted
}

async function runCases(): Promise<boolean> {
  const wanted = chooseCases()
  const lanes = values.minutes === undefined ? Number(values.lanes) : 1
  let isGreen = true
  const works = Array.from({ length: Number(values.runs) }, (_, run) => Number(values.seed) + run).flatMap((seed) =>
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
  await teardown()
  process.exit(exitCode)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void abort(130))
process.once('uncaughtException', (error) => {
  print(`the suite itself has failed: ${error.stack}`)
  void abort(1)
})

async function run(): Promise<boolean> {
  await setup()
  try {
    if (!values.mutations) return await runCases()
    writeMutations(await runMutations({ seed: Number(values.seed), print }))
    return true
  } finally {
    await teardown()
  }
}

if (values.collect) collect()
if (values.report) writeFaults(cases)
if (!values.collect && !values.report) process.exitCode = (await run()) ? 0 : 1
