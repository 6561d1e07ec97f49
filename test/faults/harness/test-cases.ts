import { beforeAll, describe, test } from '@jest/globals'
import { databaseUrl } from '../../helpers/env.ts'
import type { FaultCase } from './fault-case.ts'
import { type CaseResult, provePromises } from './run-case.ts'
import { sideBySide } from './side-by-side.ts'

/** Worlds at a time: most of a case is waiting. */
const LANES = 6
const SEED = 1
/** For all cases together. */
const TIMEOUT_MS = 600_000

/** A test for each case; they run side by side. */
export function testCases(cases: readonly FaultCase[]): void {
  describe('every promise is kept under', () => {
    let results: Promise<CaseResult>[] = []
    beforeAll(() => {
      databaseUrl() // before any case, whose proxies would stand still while the server starts
      results = sideBySide(
        cases.map((fault) => ({
          seconds: fault.seconds,
          isAlone: fault.isAlone,
          run: () => provePromises(fault, SEED),
        })),
        LANES,
      )
    })

    for (const [index, { name }] of cases.entries()) {
      test(name, async () => void (await results[index]), TIMEOUT_MS)
    }
  })
}
