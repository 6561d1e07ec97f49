import { expect, test } from '@jest/globals'
import { DaemonVitals } from '../../src/daemon/vitals.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'

test('what takes long on the connection of others does not hold up the probe of Redis', async () => {
  const [connection, probes] = [0, 1].map(() => {
    const opened = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
    closing.push(async () => opened.close())
    return opened
  }) as [Connection, Connection]
  const queue = namedQueue({ name: uniqueName('probes') })
  const about = { version: '0', dryRun: false, cancelledStatus: undefined, clock: systemClock }
  const vitals = new DaemonVitals({ connection, probes, queue, ...about })
  await connection.untilReady()
  let isHeldUp = true
  const longest = connection.redis.blpop(queue.keys.wait, 0.5).finally(() => {
    isHeldUp = false
  })
  await vitals.pingRedis()
  expect(isHeldUp).toBe(true)
  await longest
})
