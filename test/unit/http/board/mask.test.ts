import { expect, test } from '@jest/globals'
import { mask } from '../../../../src/http/board/mask.ts'

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
