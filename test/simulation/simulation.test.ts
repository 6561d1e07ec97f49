import { describe, expect, test } from '@jest/globals'
import { search } from './property.ts'

const { SIM_SEED, SIM_PATH, SIM_RUNS } = process.env
const SEEDS = SIM_SEED ? [Number(SIM_SEED)] : [1, 2, 3, 4]
const RUNS = Number(SIM_RUNS ?? 600)

describe('whatever happens, in whatever order, no promise is broken', () => {
  test.each(SEEDS)('seed %i', async (seed) => {
    const started = performance.now()
    const { failure, interleavings, runs } = await search({ seed, numRuns: RUNS, path: SIM_PATH })
    process.stderr.write(`${seed}: ${runs} ${interleavings} in ${performance.now() - started}\n`)
    if (failure) throw new Error(failure.text)
    expect(interleavings).toBeGreaterThan(0.9 * RUNS)
  })
})
