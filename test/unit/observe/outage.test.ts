import { expect, test } from '@jest/globals'
import { OutageWatch } from '../../../src/observe/outage.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

test('an outage lasts from the first failure to the first success, and has the latest reason', async () => {
  const clock = new FakeClock()
  const watch = new OutageWatch({ clock })
  const fail = (message: string) => watch.during(() => Promise.reject(new Error(message)))
  expect(watch.outage).toBeUndefined()
  const since = clock.now()
  await expect(fail('one')).rejects.toThrow('one')
  await clock.advance(1_000)
  await expect(fail('two')).rejects.toThrow('two')
  expect(watch.outage).toEqual({ since, error: new Error('two') })
  expect(await watch.during(async () => 7)).toBe(7)
  expect(watch.outage).toBeUndefined()
})
