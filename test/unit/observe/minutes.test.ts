import { expect, test } from '@jest/globals'
import { EventBus } from '../../../src/observe/events.ts'
import { LATENESS_BOUNDS, latenessOf, MinuteCounts } from '../../../src/observe/minutes.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const finished = (outcome: 'cancelled' | 'kept', lateMs: number) => ({ orderId: '1', jobId: '1', outcome, lateMs })

test('decisions of checks and sweeps are counted by the minute, until they are taken', async () => {
  const events = new EventBus()
  const clock = new FakeClock()
  const counts = new MinuteCounts({ events, clock })
  const minute = Math.floor(clock.now() / 60_000)
  events.emit('checks-finished', { checks: [finished('cancelled', 4)] })
  events.emit('checks-finished', { checks: [finished('cancelled', 6)] })
  events.emit('checks-finished', { checks: [finished('kept', -3)] })
  events.emit('batch-settled', { by: 'sweep', checks: 8, tookMs: 1, outcomes: { cancelled: 5, postponed: 3 } })
  events.emit('batch-settled', { by: 'worker', checks: 3, tookMs: 1, outcomes: { cancelled: 2, kept: 1 } })
  await clock.advance(60_000)
  events.emit('checks-finished', { checks: [finished('cancelled', 1e9)] })
  const taken = counts.take()
  const last = LATENESS_BOUNDS.length
  expect([...taken]).toEqual([
    [minute, { cancelled: 7, kept: 1, 'late:2': 1, 'late:3': 1, 'late:0': 1 }],
    [minute + 1, { cancelled: 1, [`late:${last}`]: 1 }],
  ])
  expect(counts.take().size).toBe(0)
  events.emit('checks-finished', { checks: [finished('kept', 4)] })
  counts.giveBack(taken)
  expect(counts.take().get(minute + 1)).toEqual({ cancelled: 1, kept: 1, 'late:2': 1, [`late:${last}`]: 1 })
})

test('lateness is the bound of the class in which so many lie', () => {
  const counts = { 'late:2': 98, 'late:5': 1, 'late:8': 1 }
  expect(latenessOf(counts, 0.5)).toBe(5)
  expect(latenessOf(counts, 0.99)).toBe(50)
  expect(latenessOf(counts, 1)).toBe(500)
  expect(latenessOf({ cancelled: 3 }, 0.5)).toBeUndefined()
  expect(latenessOf({ 'late:16': 1 }, 0.5)).toBe(Number.POSITIVE_INFINITY)
})
