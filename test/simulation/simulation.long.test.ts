import { describe, expect, test } from '@jest/globals'
import { search } from './property.ts'
import { badOrderScenario, healthyScenario, redisAwayScenario, scenario } from './scenario.ts'

/** SIM_SEED and SIM_PATH, with `-t` and the name of the test, run a failed run again; SIM_RUNS makes more of them. */
const { SIM_SEED, SIM_PATH, SIM_RUNS = 505 } = process.env
/** A machine that does other things beside this may take its time. */
const TIMEOUT_MS = 300_000
const SEEDS = SIM_SEED ? [Number(SIM_SEED)] : [1, 2, 3, 4]

describe('whatever happens, in whatever order, no promise is broken', () => {
  const interleavings = new Set<number>()

  test.each(SEEDS)(
    'seed %i',
    async (seed) => {
      const found = await search({ scenarios: scenario, seed, numRuns: Number(SIM_RUNS), path: SIM_PATH })
      if (found.failure) throw new Error(found.failure.text)
      for (const each of found.interleavings) interleavings.add(each)
    },
    TIMEOUT_MS,
  )

  test('more than 2,000 different interleavings have run', () => {
    expect(interleavings.size).toBeGreaterThan(SIM_SEED ? 0 : 2_000)
  })
})

test.each([
  ['everything is healthy, an order is cancelled within a second', healthyScenario],
  ['only Redis is away, an order is cancelled soon after its deadline', redisAwayScenario],
])(
  'while %s',
  async (_, scenarios) => {
    const { failure } = await search({
      scenarios,
      seed: Number(SIM_SEED ?? 1),
      numRuns: 100,
      path: SIM_PATH,
    })
    if (failure) throw new Error(failure.text)
  },
  TIMEOUT_MS,
)

test(
  'what the store rolls back again and again does not engage the brake',
  async () => {
    const { failure } = await search({
      scenarios: badOrderScenario,
      seed: Number(SIM_SEED ?? 1),
      numRuns: 50,
      path: SIM_PATH,
    })
    if (failure) throw new Error(failure.text)
  },
  TIMEOUT_MS,
)
