import { expect, test } from '@jest/globals'
import { search } from './property.ts'
import { badOrderScenario, healthyScenario, redisAwayScenario, scenario } from './scenario.ts'

/* A few runs of each kind; simulation.long.test.ts has many. */

test.each([
  ['whatever happens, in whatever order, no promise is broken', scenario, 200],
  ['while everything is healthy, an order is cancelled within a second', healthyScenario, 20],
  ['while only Redis is away, an order is cancelled soon after its deadline', redisAwayScenario, 50],
  ['what the store rolls back again and again does not engage the brake', badOrderScenario, 10],
])('%s', async (_, scenarios, numRuns) => {
  const { failure } = await search({ scenarios, seed: 6, numRuns })
  if (failure) throw new Error(failure.text)
})

test('the same seed gives the same run', async () => {
  const again = () => search({ scenarios: scenario, seed: 5, numRuns: 20 })
  expect(await again()).toEqual(await again())
})
