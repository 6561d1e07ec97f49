import { test } from '@jest/globals'
import { EventBus } from '../../../../src/observe/events.ts'
import { LEFT_BEHIND_PRIORITY } from '../../../../src/queue/left-behind.ts'
import type { Claim, Claims } from '../../../../src/queue/worker/claims.ts'
import { Pump } from '../../../../src/queue/worker/pump.ts'
import { Trouble } from '../../../../src/queue/worker/trouble.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { Heartbeat } from '../../../../src/runtime/heartbeat.ts'
import { eventually } from '../../../helpers/eventually.ts'
import { kept } from '../../../helpers/pump.ts'
import { deferred } from '../../deferred.ts'

const DEADLINE = 1_700_000_000_000
const NOTHING: Claim = { now: DEADLINE, jobs: [], strangers: [], nextAt: Infinity, limitedMs: 0, isHeld: false }

test('where the last order left behind ends while a claim is under way that leaves one for its sake, the next claim is made at once', async () => {
  const [settled, second] = [deferred<void>(), deferred<Claim>()]
  const data = JSON.stringify({ orderId: '1', deadline: DEADLINE })
  const fields = {
    name: 'check-payment',
    data,
    timestamp: `${DEADLINE}`,
    priority: `${LEFT_BEHIND_PRIORITY}`,
    ats: '2',
  }
  const job = { id: '1', data, opts: undefined, timestamp: `${DEADLINE}`, fields }
  const answers = [Promise.resolve({ ...NOTHING, jobs: [job], nextAt: 0 }), second.promise]
  const asked: string[] = []
  let ended = 0
  const claims: Partial<Claims> = {
    claim: ({ token }) => {
      asked.push(token)
      return answers.shift() ?? new Promise(() => {})
    },
    complete: async () => {
      ended++
      return []
    },
  }
  const pump = new Pump({
    workerId: 'w',
    claims: claims as Claims,
    sleep: { for: () => new Promise(() => {}), tell() {}, handOn: async () => {}, end: async () => {} },
    trouble: new Trouble({ clock: systemClock }),
    onError: () => {},
    concurrency: 4,
    batchSize: 4,
    maxBatches: 4,
    paymentTimeoutMs: 1,
    maxAttempts: 1,
    decidedBy: 'test:1',
    async settle(checks) {
      await settled.promise
      return checks.map(kept)
    },
    heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
    events: new EventBus(),
    clock: systemClock,
  })
  pump.start()
  await eventually('the second claim is under way', () => asked.length === 2)
  settled.resolve()
  await eventually('the order has ended', () => ended === 1 && pump.held.size === 0)
  second.resolve({ ...NOTHING, isHeld: true })
  await eventually('a third claim is made', () => asked.length === 3)
})
