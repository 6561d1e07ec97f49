import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { cases } from './cases/all.ts'
import { type CaseResult, provePromises } from './harness/run-case.ts'
import { sideBySide } from './harness/side-by-side.ts'
import { checkMutations } from './mutations.ts'
import { PAGE } from './report/report.ts'

/** Worlds at a time: most of a case is waiting. */
const LANES = 6
const SEED = 1
/** For the whole file. */
const TIMEOUT_MS = 600_000

test('every fault stands in the table of docs/reliability.md', () => {
  const page = readFileSync(PAGE, 'utf8')
  expect(cases.map(({ name }) => name).filter((name) => !page.includes(`| ${name} |`))).toEqual([])
})

test('no two faults have the same name', () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})

test('what the mutations take out is where they look for it', () => {
  expect(checkMutations).not.toThrow()
})

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
