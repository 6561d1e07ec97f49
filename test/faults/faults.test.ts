import { expect, test } from '@jest/globals'
import { cases } from './cases/all.ts'
import { MAIN_CASES } from './cases/main.ts'
import { testCases } from './harness/test-cases.ts'
import { checkMutations } from './run-mutations.ts'

test('what the mutations take out is where they look for it', () => {
  expect(checkMutations).not.toThrow()
})

testCases(cases.filter(({ name }) => MAIN_CASES.has(name)))
