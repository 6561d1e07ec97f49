import { describe, expect, test } from '@jest/globals'
import { claimsContract } from '../contract/claims.ts'
import { ClaimsUnderTest } from '../contract/claims-under-test.ts'
import { BullMqSide } from './bullmq-side.ts'
import { ClaimsSide } from './claims-side.ts'
import { Differential } from './differential.ts'
import { MUTATIONS, mutated } from './mutations.ts'

/** Programs within which a mistake must have shown. */
const RUNS = 1_000
/** A machine that does other things beside this may take its time. */
const TIMEOUT_MS = 300_000

const byContract = MUTATIONS.flatMap((mutation) =>
  mutation.foundBy ? [{ ...mutation, foundBy: mutation.foundBy }] : [],
)
const byDifferential = MUTATIONS.filter(({ foundBy }) => !foundBy)

describe('the contract finds that', () => {
  test.each(byContract)('$mistake', async (mutation) => {
    const [part, name] = mutation.foundBy
    const check = claimsContract[part]?.[name]
    if (!check) throw new Error(`expected the contract to have ${part}: ${name}`)
    const under = await ClaimsUnderTest.open({ kind: 'auto', edit: mutated(mutation) })
    try {
      await expect(check(under)).rejects.toThrow()
    } finally {
      await under.close()
    }
  })
})

describe('the differential test finds that', () => {
  test.each(byDifferential)(
    '$mistake',
    async (mutation) => {
      const mutant = new ClaimsSide({ kind: 'auto', edit: mutated(mutation) })
      const differential = await Differential.open(new BullMqSide(), [mutant])
      try {
        expect(await differential.search({ seed: 1, numRuns: RUNS, shrinks: false })).toBeDefined()
      } finally {
        await differential.close()
      }
    },
    TIMEOUT_MS,
  )
})
