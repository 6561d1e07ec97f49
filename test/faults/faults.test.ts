import { beforeAll, describe, test } from '@jest/globals'
import { cases } from './cases/all.ts'
import { type CaseResult, provePromises } from './run-case.ts'
import { sideBySide } from './side-by-side.ts'

/** Worlds at a time: most of a case is waiting. */
const LANES = 5
const SEED = 1
/** For the whole file. */
const TIMEOUT_MS = 600_000

describe('every fault', () => {
  let results: Promise<CaseResult>[] = []
  beforeAll(() => {
    results = sideBySide(
      cases.map((fault) => ({ seconds: fault.seconds, isAlone: fault.isAlone, run: () => provePromises(fault, SEED) })),
      LANES,
    )
  })

  for (const [index, { name }] of cases.entries()) {
    test(name, async () => void (await results[index]), TIMEOUT_MS)
  }
})
