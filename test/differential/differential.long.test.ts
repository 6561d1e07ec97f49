import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { BullMqSide } from './bullmq-side.ts'
import { ClaimsSide } from './claims-side.ts'
import { Differential } from './differential.ts'

/** DIFFERENTIAL_RUNS=5000 looks longer; DIFFERENTIAL_SEED and _PATH repeat what a failure tells. */
const { DIFFERENTIAL_RUNS: runs = '200', DIFFERENTIAL_SEED: seed = '1', DIFFERENTIAL_PATH: path } = process.env
/** A machine that does other things beside this may take its time. */
const TIMEOUT_MS = 60_000 + Number(runs) * 2_000

let differential: Differential

beforeAll(async () => {
  const others = [new ClaimsSide({ kind: 'auto' }), new ClaimsSide({ kind: 'wrapped' })]
  differential = await Differential.open(new BullMqSide(), others)
})
afterAll(() => differential.close())

test(
  `${runs} random programs leave the same in Redis by BullMQ's Worker and by both kinds of claims`,
  async () => {
    const difference = await differential.search({ seed: Number(seed), numRuns: Number(runs), path })
    expect(difference).toBeUndefined()
  },
  TIMEOUT_MS,
)
