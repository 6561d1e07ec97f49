import { beforeEach, expect, test } from '@jest/globals'
import { createClockWatch } from '../../../src/daemon/clock-watch.ts'
import type { ClockOffsets } from '../../../src/observe/clock-offsets.ts'
import { EventBus } from '../../../src/observe/events.ts'
import { RemoteClock } from '../../../src/runtime/remote-clock.ts'
import { closing } from '../../helpers/closing.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const SECOND = 1_000

let aheadMs: { redis: number; store: number }
let clock: FakeClock
let told: string[]
let reports: (ClockOffsets | undefined)[]
/** Redis takes no report. */
let isReportRefused: boolean
/** By how much the clock of Redis was set back. */
let setBacks: number[]
/** Of the order store. */
let read: (() => Promise<number>) | undefined

beforeEach(async () => {
  aheadMs = { redis: 0, store: 0 }
  clock = new FakeClock()
  told = []
  reports = []
  isReportRefused = false
  setBacks = []
  read = async () => clock.now() + aheadMs.store
  const events = new EventBus()
  events.on('clock-differs', ({ of, offsetMs }) => told.push(`${of} ${offsetMs}`))
  events.on('clock-agrees', ({ of }) => told.push(`${of} agrees`))
  const clocks = { redis: new RemoteClock({ clock }), store: new RemoteClock({ clock }) }
  const watch = createClockWatch({
    clocks,
    everyMs: 5_000,
    read: { redis: async () => clock.now() + aheadMs.redis, store: () => read?.() },
    async onRedisSetBack(byMs) {
      setBacks.push(byMs)
      if (setBacks.length === 1) throw new Error('no')
    },
    async report(offsets) {
      if (isReportRefused) throw new Error('no')
      reports.push(offsets)
    },
    events,
    clock,
  })
  closing.push(() => watch.stop())
  await watch.start(new AbortController().signal)
})

test('a difference is told of when it begins and when it ends, within seconds, and not in between', async () => {
  await clock.advance(6 * SECOND)
  aheadMs.redis = 600 * SECOND
  await clock.advance(60 * SECOND)
  aheadMs = { redis: 0, store: -3 * SECOND }
  await clock.advance(60 * SECOND)
  aheadMs.store = 0
  await clock.advance(60 * SECOND)
  expect(told.map((line) => line.replace(/599996/, '600000').replace(/-2996/, '-3000'))).toEqual([
    'redis 600000',
    'redis agrees',
    'store -3000',
    'store agrees',
  ])
})

test('a difference that NTP can leave is none, and one about as large as the limit is told of once', async () => {
  for (const ms of [1_500, -1_500, 2_500, 1_500, 2_500, 1_500]) {
    aheadMs.store = ms
    await clock.advance(6 * SECOND)
  }
  expect(told).toHaveLength(1)
})

test('is reported with each look while there is one, until Redis has taken that there is none', async () => {
  aheadMs.redis = -10 * SECOND
  await clock.advance(11 * SECOND)
  expect(reports.length).toBeGreaterThanOrEqual(2)
  expect(reports.every((offsets) => (offsets?.redis ?? 0) < -9 * SECOND && offsets?.store === 0)).toBe(true)
  isReportRefused = true
  aheadMs.redis = 0
  await clock.advance(6 * SECOND)
  isReportRefused = false
  reports = []
  await clock.advance(20 * SECOND)
  expect(reports).toEqual([undefined])
})

test('only when the clock of Redis is set back is that told, until it has been seen to', async () => {
  for (const ms of [1_000, 600_000, 599_000]) {
    aheadMs = { redis: ms, store: -ms }
    await clock.advance(6 * SECOND)
  }
  expect(setBacks).toEqual([])
  aheadMs.redis = 0
  await clock.advance(30 * SECOND)
  expect(setBacks).toHaveLength(2)
  for (const ms of setBacks) expect(Math.abs(ms - 599_000)).toBeLessThan(100)
})

test('what is not asked, or does not answer, is as it was', async () => {
  aheadMs.store = 10 * SECOND
  await clock.advance(6 * SECOND)
  read = () => Promise.reject(new Error('away'))
  await clock.advance(20 * SECOND)
  read = undefined
  await clock.advance(20 * SECOND)
  expect(told).toHaveLength(1)
})
