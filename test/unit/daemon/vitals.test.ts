import { expect, test } from '@jest/globals'
import { DaemonVitals } from '../../../src/daemon/vitals.ts'
import { Connection } from '../../../src/redis/connection.ts'
import { namedQueue } from '../../../src/redis/keys.ts'
import { commandProfile } from '../../../src/redis/profiles.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

test('loops must go on while it runs; a start and a stop take their time', () => {
  const address = 'redis://127.0.0.1:1'
  const profile = { ...commandProfile(address, 1), lazyConnect: true }
  const connection = new Connection({ address, profile })
  const clock = new FakeClock()
  const named = { version: '0', dryRun: false, cancelledStatus: undefined }
  const vitals = new DaemonVitals({ connection, probes: connection, queue: namedQueue({ name: 'q' }), ...named, clock })
  const loops = () => vitals.loops().map(({ name }) => name)
  expect(loops()).toEqual([])
  vitals.phase = 'running'
  expect(loops()).toEqual(['worker', 'sweeper'])
  vitals.phase = 'stopping'
  expect(loops()).toEqual([])
  connection.close()
})
