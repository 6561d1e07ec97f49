import { expect, test } from '@jest/globals'
import { mask, maskJob, maskLog, maskReason } from '../../../../src/http/board/mask.ts'

test('of a job only what we know is shown; what else is there keeps its name', () => {
  expect(mask({ orderId: '1', deadline: 5, email: 'ann@example.com', card: { number: '4' } })).toEqual({
    orderId: '1',
    deadline: 5,
    email: '•••',
    card: '•••',
  })
  expect(mask({ outcome: 'kept', status: 'paid', decidedBy: 'h:1' })).toEqual({
    outcome: 'kept',
    status: 'paid',
    decidedBy: 'h:1',
  })
  expect([mask(null), mask('text'), mask([1]), mask({ orderId: { a: 1 } })]).toEqual([
    null,
    '•••',
    '•••',
    { orderId: '•••' },
  ])
})

test('of another name, and of a reason that may quote it, nothing is shown but our code', () => {
  const shown = (name: string, failedReason: string) => {
    const { name: asNamed, failedReason: why } = maskJob({ name, failedReason, data: {}, opts: {}, stacktrace: [] })
    return [asNamed, why]
  }
  expect(shown('mail ann@buyer.example', 'UNKNOWN_JOB: expected a job named check-payment, given "mail ann"')).toEqual([
    '•••',
    'UNKNOWN_JOB: •••',
  ])
  expect(shown('check-payment', 'NOT_FOUND: ann@buyer.example')).toEqual(['check-payment', 'NOT_FOUND: •••'])
  expect([maskReason('no mail for ann'), maskReason(''), maskReason(undefined)]).toEqual(['•••', '', undefined])
})

const AT = '2026-01-31T12:00:00.000Z'
test.each([
  `${AT} check postponed by 5 ms: locked`,
  `${AT} check failed, again in 5 ms: STORE_BUSY`,
  `${AT} deadline moved from ${AT} to ${AT}`,
  `${AT} deadline moved to ${AT}`,
  `${AT} replaces a check that cancelled the order at ${AT}`,
])('a line of a log is shown if we wrote it: %s', (line) => {
  expect(maskLog(line)).toBe(line)
  for (const other of [`${line} ann`, `${line}\nann`, line.slice(AT.length + 1), `2026-99-99T12${line.slice(13)}`]) {
    expect(maskLog(other)).toBe('•••')
  }
})
