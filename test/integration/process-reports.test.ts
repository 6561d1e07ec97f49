import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createProcessReporter, readProcessReports } from '../../src/queue/process-reports.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

let raw: RawQueue
let connection: Connection
const queue = () => namedQueue({ name: raw.name })
const source = () => ({ redis: raw.redis, keys: queue().keys })
beforeAll(() => {
  raw = new RawQueue()
  connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 2_000) })
})
afterAll(async () => {
  connection.close()
  await raw.close()
})

function reporter(name: string) {
  const lastSweep = () => ({ by: name, at: 5, overdue: 3, cancelled: 2 })
  return createProcessReporter({ connection, queue: queue(), name, version: '1.2.3', lastSweep, clock: systemClock })
}
const names = async () => (await readProcessReports(source())).map(({ name }) => name)

test('a process is known from its start to its stop, with what it tells of itself', async () => {
  const service = reporter('a:1')
  await service.start(new AbortController().signal)
  const [known] = await eventually('it has reported', async () => {
    const reports = await readProcessReports(source())
    return reports.length > 0 ? reports : undefined
  })
  expect(known).toEqual({
    name: 'a:1',
    version: '1.2.3',
    startedAt: expect.any(Number),
    sweep: { by: 'a:1', at: 5, overdue: 3, cancelled: 2 },
  })
  expect(await raw.redis.pttl(queue().keys.processes)).toBeGreaterThan(0) // the last one leaves nothing behind
  await service.stop()
  expect(await names()).toEqual([])
})

test('one that died is no longer shown, and dropped with the next report of another', async () => {
  const { processes } = queue().keys
  const dead = `${Date.now() - 1} {"version":"1.2.2","startedAt":1}`
  await raw.redis.hset(processes, 'dead:1', dead, 'foreign', 'anything')
  expect(await names()).toEqual([])
  const service = reporter('b:2')
  await service.start(new AbortController().signal)
  await eventually('it has reported', async () => (await names()).includes('b:2') || undefined)
  expect(await raw.redis.hkeys(processes)).toEqual(['b:2'])
  await service.stop()
})
