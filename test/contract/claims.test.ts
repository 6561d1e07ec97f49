import { describe, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { claimsContract } from './claims.ts'
import { ClaimsUnderTest } from './claims-under-test.ts'

describe.each(['auto', 'wrapped'] as const)('claims, %s', (kind) => {
  for (const [part, checks] of Object.entries(claimsContract)) {
    test.each(Object.entries(checks))(`${part}: %s`, async (_, check) => {
      const under = await ClaimsUnderTest.open({ kind })
      closing.push(() => under.close())
      await check(under)
    })
  }
})
