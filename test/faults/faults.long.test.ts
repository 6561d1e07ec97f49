import { cases } from './cases/all.ts'
import { MAIN_CASES } from './cases/main.ts'
import { testCases } from './harness/test-cases.ts'

// The others are in faults.test.ts.
testCases(cases.filter(({ name }) => !MAIN_CASES.has(name)))
