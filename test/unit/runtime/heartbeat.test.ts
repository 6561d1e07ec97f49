import { expect, test } from '@jest/globals'
import { Heartbeat } from '../../../src/runtime/heartbeat.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

test('a heartbeat is as old as its last beat, by a clock that nobody sets', async () => {
  const clock = new FakeClock()
  const heartbeat = new Heartbeat({
    name: 'worker',
    clock: { ...clock, now: () => 0, monotonic: () => clock.monotonic(), sleep: () => Promise.resolve() },
  })
  expect([heartbeat.name, heartbeat.ageMs]).toEqual(['worker', 0])
  await clock.advance(1_500)
  expect(heartbeat.ageMs).toBe(1_500)
  heartbeat.beat()
  expect(heartbeat.ageMs).toBe(0)
  await clock.advance(10)
  expect(heartbeat.ageMs).toBe(10)
})
