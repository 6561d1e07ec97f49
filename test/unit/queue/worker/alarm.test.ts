import { describe, expect, test } from '@jest/globals'
import { Alarm } from '../../../../src/queue/worker/alarm.ts'
import { FakeClock } from '../../../helpers/fake-clock.ts'

/** An alarm, and a Redis that ends a wait only when it is rung after the time is over, or at its next tick. */
function createAlarm(options: { isDeaf?: boolean; ring?: () => Promise<unknown> } = {}) {
  const clock = new FakeClock(0)
  const rings: number[] = []
  const waits: { seconds: number; until: number; end: (marker: string | null) => void }[] = []
  const endOver = () => {
    for (const wait of waits) if (clock.now() >= wait.until) wait.end(null)
  }
  const alarm = new Alarm({
    ring: async () => {
      rings.push(clock.now())
      if (!options.isDeaf) endOver()
      return options.ring?.()
    },
    clock,
    random: () => 1,
  })
  const wait = (seconds: number) =>
    new Promise<string | null>((end) => waits.push({ seconds, until: clock.now() + seconds * 1_000, end }))
  return { alarm, clock, rings, waits, wait, tick: endOver }
}

/** When it is over, and how it ended. */
async function endOf<T>(clock: FakeClock, waiting: Promise<T>): Promise<() => { at: number; result: T } | undefined> {
  let end: { at: number; result: T } | undefined
  void waiting.then((result) => {
    end = { at: clock.now(), result }
  })
  return () => end
}

describe('a wait for a job that is due', () => {
  test('ends on the millisecond', async () => {
    const { alarm, clock, rings, wait } = createAlarm()
    const end = await endOf(clock, alarm.during(0.5, wait))
    await clock.advance(499)
    expect(rings).toEqual([])
    expect(end()).toBeUndefined()
    await clock.advance(1)
    expect(end()).toEqual({ at: 500, result: null })
    await clock.advance(1_000)
    expect(rings).toEqual([500])
  })

  test('ends at once when the queue has something, and nothing is rung', async () => {
    const { alarm, clock, rings, waits, wait } = createAlarm()
    const end = await endOf(clock, alarm.during(0.5, wait))
    await clock.advance(100)
    waits[0]?.end('marker')
    await clock.advance(1_000)
    expect(end()).toEqual({ at: 100, result: 'marker' })
    expect(rings).toEqual([])
  })

  test('that Redis ends too early goes on to the millisecond', async () => {
    const { alarm, clock, waits, wait } = createAlarm()
    const end = await endOf(clock, alarm.during(0.5, wait))
    await clock.advance(498)
    waits[0]?.end(null)
    await clock.advance(1)
    expect(end()).toBeUndefined()
    await clock.advance(1)
    expect(end()).toEqual({ at: 500, result: null })
  })

  test('is rung for again, a bounded number of times, and ends with Redis’ timer where nothing helps', async () => {
    const { alarm, clock, rings, wait, tick } = createAlarm({ isDeaf: true })
    const end = await endOf(clock, alarm.during(0.1, wait))
    await clock.advance(250)
    expect(rings).toEqual([100, 101, 103, 107, 115, 131])
    expect(end()).toBeUndefined()
    tick()
    await clock.advance(1)
    expect(end()?.result).toBeNull()
  })

  test('is no worse off where ringing fails', async () => {
    const { alarm, clock, wait } = createAlarm({ ring: () => Promise.reject(new Error('no connection')) })
    const end = await endOf(clock, alarm.during(0.1, wait))
    await clock.advance(100)
    expect(end()).toEqual({ at: 100, result: null })
  })

  test('fails as the wait fails, and nothing is rung any more', async () => {
    const { alarm, clock, rings } = createAlarm()
    await expect(alarm.during(0.1, () => Promise.reject(new Error('closed')))).rejects.toThrow('closed')
    await clock.advance(1_000)
    expect(rings).toEqual([])
  })

  test('that is near does not trouble Redis', async () => {
    const { alarm, clock, rings, waits, wait } = createAlarm()
    const end = await endOf(clock, alarm.during(0.003, wait))
    await clock.advance(3)
    expect(end()).toEqual({ at: 3, result: null })
    expect([rings, waits]).toEqual([[], []])
  })
})

test('a process that gets no job steps back, a little and not for long', async () => {
  const { alarm, clock, wait } = createAlarm()
  const lateness: number[] = []
  const goOff = async (hasJob: boolean) => {
    const dueAt = clock.now() + 100
    const end = await endOf(clock, alarm.during(0.1, wait))
    await clock.advance(200)
    lateness.push((end()?.at ?? Number.NaN) - dueAt)
    alarm.tell(hasJob)
  }
  for (let n = 0; n < 8; n++) await goOff(false)
  expect(lateness).toEqual([0, 0, 2, 4, 8, 10, 10, 10])
  await goOff(true)
  await goOff(true)
  expect(lateness.slice(-2)).toEqual([10, 0])
})

test('an empty queue that was looked at for another reason is no reason to step back', async () => {
  const { alarm, clock, waits, wait } = createAlarm()
  for (let n = 0; n < 5; n++) {
    const end = await endOf(clock, alarm.during(0.1, wait))
    await clock.advance(10)
    waits.at(-1)?.end('marker')
    await clock.advance(1)
    expect(end()?.result).toBe('marker')
    alarm.tell(false)
  }
  const end = await endOf(clock, alarm.during(0.1, wait))
  await clock.advance(100)
  expect(end()).toMatchObject({ result: null })
})
