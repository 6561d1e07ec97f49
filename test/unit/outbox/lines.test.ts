import { expect, test } from '@jest/globals'
import type { OutboxEvent } from '../../../src/order/outbox.ts'
import { Lines } from '../../../src/outbox/lines.ts'

const event = (position: string, orderId: string, waitMs?: number): OutboxEvent => ({
  position,
  id: `id-${position}`,
  type: 'order.cancelled',
  orderId,
  at: 0,
  data: {},
  failures: 0,
  ...(waitMs !== undefined && { waitMs }),
})

/** The positions of all that may go on their way. */
function takeAll(lines: Lines): OutboxEvent[] {
  const taken: OutboxEvent[] = []
  for (let next = lines.next(); next; next = lines.next()) taken.push(next)
  return taken
}
const positionsOf = (events: readonly OutboxEvent[]) => events.map(({ position }) => position)

test('of each order only the first event is on its way, and the next follows when it has left', () => {
  const lines = new Lines()
  lines.add([event('1', 'a'), event('2', 'a'), event('3', 'b')], 0)
  const [first, ...others] = takeAll(lines) as [OutboxEvent, OutboxEvent]
  expect(positionsOf([first, ...others])).toEqual(['1', '3'])
  lines.leave(first, 0)
  expect(positionsOf(takeAll(lines))).toEqual(['2'])
  expect(lines.size).toBe(2)
})

test('an event that is known is not taken again, before and while it is on its way; one that has left is new', () => {
  const lines = new Lines()
  lines.add([event('1', 'a')], 0)
  lines.add([event('1', 'a')], 0)
  const [first] = takeAll(lines) as [OutboxEvent]
  lines.add([event('1', 'a')], 0)
  expect(lines.next()).toBeUndefined()
  lines.leave(first, 0)
  expect(lines.size).toBe(0)
  lines.add([event('1', 'a')], 0)
  expect(positionsOf(takeAll(lines))).toEqual(['1'])
})

test('an event that waits for its next attempt holds up its order and no other', () => {
  const lines = new Lines()
  lines.add([event('1', 'a', 1_000), event('2', 'a'), event('3', 'b')], 0)
  expect(positionsOf(takeAll(lines))).toEqual(['3'])
  lines.wake(999)
  expect(lines.next()).toBeUndefined()
  lines.wake(1_000)
  const [first] = takeAll(lines) as [OutboxEvent]
  expect(first.position).toBe('1')
  lines.wait(first, 5_000)
  lines.wake(4_999)
  expect(lines.next()).toBeUndefined()
  lines.wake(5_000)
  expect(positionsOf(takeAll(lines))).toEqual(['1'])
})

test('what is forgotten is not on its way, and comes again; what is on its way stays known', () => {
  const lines = new Lines()
  lines.add([event('1', 'a'), event('2', 'a'), event('3', 'b'), event('4', 'c', 1_000)], 0)
  const first = lines.next() as OutboxEvent
  lines.forgetIdle()
  expect(lines.size).toBe(1)
  lines.add([event('1', 'a'), event('2', 'a'), event('3', 'b'), event('4', 'c')], 0)
  expect(positionsOf(takeAll(lines))).toEqual(['3', '4'])
  lines.leave(first, 0)
  expect(positionsOf(takeAll(lines))).toEqual(['2'])
})
