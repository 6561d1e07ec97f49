import { expect, test } from '@jest/globals'
import { readOverview } from '../../../../src/http/pages/read-overview.ts'
import { FakeClock } from '../../../helpers/fake-clock.ts'
import { fakeVitals } from '../../../helpers/fake-vitals.ts'

test('what cannot be read is not known, and does not keep the rest', async () => {
  const refused = () => Promise.reject(new Error('away'))
  const { view } = fakeVitals()
  const overview = await readOverview(
    fakeVitals({
      view: { ...view, memory: refused, processes: refused },
      readOverdue: refused,
      readSetAside: refused,
      readOutbox: () => Promise.resolve({ events: 2, oldestAgeMs: 5 }),
    }),
  )
  expect(overview).toMatchObject({ outbox: { events: 2 }, counts: { isPaused: false } })
  for (const part of ['memory', 'processes', 'overdue', 'setAside'] as const) expect(overview[part]).toBeUndefined()
})

test('what does not answer is away, since it was first noticed', async () => {
  const clock = new FakeClock()
  const never = () => new Promise<never>(() => {})
  const error = new Error('noticed')
  const reading = readOverview(
    fakeVitals({
      clock,
      pingRedis: never,
      pingStore: never,
      outages: { redis: { since: 5, error }, store: undefined },
    }),
  )
  await clock.advance(2_000)
  const { away, at } = await reading
  expect(away.redis).toEqual({ since: 5, error })
  expect(away.store).toEqual({ since: at, error: expect.any(Error) })
})

test('the last sweep is that of whichever process', async () => {
  const sweep = (by: string, at: number) => ({ by, at, overdue: 0, cancelled: 0 })
  const { view } = fakeVitals()
  const processes = async () =>
    ['b', 'c'].map((name, n) => ({ name, version: '1', startedAt: 0, sweep: sweep(name, 10 + n) }))
  const lastOf = async (own: number) =>
    (await readOverview(fakeVitals({ view: { ...view, processes }, lastSweep: sweep('a', own) }))).lastSweep?.by
  expect([await lastOf(9), await lastOf(12)]).toEqual(['c', 'a'])
})
