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

const all = MUTATIONS.map((mutation) => ({
  ...mutation,
  kind: mutation.kind ?? ('auto' as const),
  edit: mutated(mutation),
}))
const byContract = all.flatMap(({ foundBy, ...rest }) => (foundBy ? [{ ...rest, foundBy }] : []))
const byDifferential = all.filter(({ foundBy }) => !foundBy)

describe('the contract finds that', () => {
  test.each(byContract)('$mistake: claims $kind', async (mutation) => {
    const [part, name] = mutation.foundBy
    const check = claimsContract[part]?.[name]
    if (!check) throw new Error(`expected the contract to have ${part}: ${name}`)
    const under = await ClaimsUnderTest.open({ kind: mutation.kind, edit: mutation.edit })
    try {
      await expect(check(under)).rejects.toThrow()
    } finally {
      await under.close()
    }
  })
})

describe('the differential test finds that', () => {
  test.each(byDifferential)(
    '$mistake: claims $kind',
    async (mutation) => {
      const mutant = new ClaimsSide({ kind: mutation.kind, edit: mutation.edit })
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
