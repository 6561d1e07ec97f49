import { expect, test } from '@jest/globals'
import { readOverview } from '../../../../src/http/pages/read-overview.ts'
import type { Vitals } from '../../../../src/observe/vitals.ts'
import { NOTHING_SET_ASIDE } from '../../../../src/order/set-aside.ts'
import { fakeVitals } from '../../../helpers/fake-vitals.ts'

test('the overview has what is set aside, where anything is', async () => {
  const warningsOf = async (readSetAside: Vitals['readSetAside']) => {
    const { states } = await readOverview(fakeVitals({ readSetAside, brake: { engaged: false } }))
    return states.filter(({ level }) => level !== 'good')
  }
  const found = { backlog: { orders: 3_000 }, unreadable: { orders: 2, examples: ['7', '8'] } }
  expect(await warningsOf(async () => found)).toEqual([
    { name: 'Backlog', level: 'warn', text: '3,000' },
    { name: 'Unreadable deadlines', level: 'warn', text: '2' },
  ])
  expect(await warningsOf(async () => NOTHING_SET_ASIDE)).toEqual([])
  expect(await warningsOf(() => undefined)).toEqual([])
  expect(await warningsOf(() => Promise.reject(new Error('away')))).toEqual([])
})
