import fc from 'fast-check'
import type { Scenario } from './scenario.ts'
import { type Flaws, simulate } from './simulation.ts'

interface Search {
  /** Different orders in which tasks have run. */
  interleavings: ReadonlySet<number>
  /** Of the smallest run that breaks a promise: what it breaks, how to run it again, what has happened. */
  failure: { violations: string[]; text: string } | undefined
}

/** Runs random scenarios until one breaks a promise, and shrinks that one. */
export async function search(options: {
  scenarios: fc.Arbitrary<Scenario>
  seed: number
  numRuns: number
  path?: string | undefined
  flaws?: Flaws
  /** Stops at the first run that breaks a promise in this way, as it is. */
  finds?: RegExp
}): Promise<Search> {
  const { scenarios, seed, numRuns, path, flaws, finds } = options
  const fingerprints = new Set<number>()
  const property = fc.asyncProperty(scenarios, async (each) => {
    const { violations, fingerprint } = await simulate(each, flaws)
    fingerprints.add(fingerprint)
    const text = violations.join('\n')
    if (finds ? finds.test(text) : text !== '') throw new Error(text)
  })
  const result = await fc.check(property, { seed, numRuns, endOnFailure: finds !== undefined, ...(path && { path }) })
  const found = { interleavings: fingerprints, failure: undefined }
  if (!result.failed) return found
  const [worst] = result.counterexample as [Scenario]
  const { violations, trace } = await simulate(worst, flaws)
  const text = [
    ...violations,
    `run it again: SIM_SEED=${result.seed} SIM_PATH=${result.counterexamplePath}`,
    JSON.stringify(worst),
    ...trace,
  ].join('\n')
  return { ...found, failure: { violations, text } }
}
