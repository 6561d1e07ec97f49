import { expect, test } from '@jest/globals'
import type { Verdict } from '../../../../src/explain/verdict.ts'
import { storyPage } from '../../../../src/http/pages/order-story.ts'
import { fakeSite } from '../../../helpers/fake-site.ts'

const now = Date.parse('2026-11-25T10:00:00Z')
const render = (verdict: Verdict) => {
  const story = { orderId: 'a', now, verdict, events: [], isKnown: true, missing: {} }
  return storyPage({ site: fakeSite(), story, boardPath: undefined })
}

test('a verdict that asks somebody to do something looks like that, also of an order that is cancelled', () => {
  const cancelled = { outcome: 'cancelled', text: 'Cancelled.' } as const
  expect(render({ ...cancelled, code: 'CANCELLED_BY_CHECK' })).toContain('class="verdict is-plain"')
  const paid = render({ ...cancelled, code: 'PAID_AFTER_CANCELLATION', next: 'Give the money back.' })
  expect(paid).toContain('class="verdict is-warn"')
})

test('no order is called not cancelled of which that is not certain', () => {
  for (const code of ['PAID', 'PAID_LATE', 'NO_LONGER_UNPAID', 'WITHDRAWN'] as const) {
    expect(render({ outcome: 'kept', code, text: 'It has a status of the shop.' })).not.toContain('Not cancelled')
  }
})

test('a deadline that cannot be meant is no time ago', () => {
  const html = render({
    outcome: 'set-aside',
    code: 'UNREADABLE_DEADLINE',
    text: 'Set aside.',
    deadline: -8.64e15,
  })
  expect(html).toContain('-infinity')
  expect(html).not.toContain('ago')
})
