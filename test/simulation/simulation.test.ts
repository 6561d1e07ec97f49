import { describe, expect, test } from '@jest/globals'
import { search } from './property.ts'
import { healthyScenario, scenario } from './scenario.ts'

/** SIM_SEED and SIM_PATH run a failed run again; SIM_RUNS makes more of them. */
const { SIM_SEED, SIM_PATH, SIM_RUNS } = process.env
const SEEDS = SIM_SEED ? [Number(SIM_SEED)] : [1, 2, 3, 4]
const RUNS = Number(SIM_RUNS ?? 525)

describe('whatever happens, in whatever order, no promise is broken', () => {
  test.each(SEEDS)(`seed %i, at least ${RUNS} different interleavings`, async (seed) => {
    const { failure, interleavings } = await search({ scenarios: scenario, seed, numRuns: RUNS, path: SIM_PATH })
    if (failure) throw new Error(failure.text)
    if (!SIM_PATH) expect(interleavings).toBe(RUNS)
  })
})

test('while everything is healthy, an order is cancelled within a second', async () => {
  const { failure } = await search({ scenarios: healthyScenario, seed: 1, numRuns: 200 })
  if (failure) throw new Error(failure.text)
})

test('the same seed gives the same run', async () => {
  const again = () => search({ scenarios: scenario, seed: 5, numRuns: 20 })
  expect(await again()).toEqual(await again())
})
