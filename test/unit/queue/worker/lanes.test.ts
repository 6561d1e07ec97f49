import { describe, expect, test } from '@jest/globals'
import type { Check } from '../../../../src/order/order.ts'
import type { Settlement } from '../../../../src/order/settle.ts'
import { Lanes } from '../../../../src/queue/worker/lanes.ts'
import { FakeClock } from '../../../helpers/fake-clock.ts'
import { deferred } from '../../deferred.ts'

const BEHIND = { isLeftBehind: true }
const GOOD = { isLeftBehind: false }

const checkOf = (orderId: string): Check => ({ orderId, deadline: 0 })
const kept = ({ orderId }: Check): Settlement => ({ kind: 'kept', status: orderId, evidence: { decidedAt: 0 } })

/** Lanes with room for two orders left behind, whose batches wait for `go`. */
function createLanes() {
  const clock = new FakeClock()
  const go = deferred<void>()
  const batches: string[][] = []
  const lanes = new Lanes({
    async settle(checks) {
      batches.push(checks.map(({ orderId }) => orderId))
      if (checks[0]?.orderId.startsWith('behind')) await go.promise
      return checks.map(kept)
    },
    concurrency: 8,
    batchSize: 10,
    maxBatches: 2,
    clock,
  })
  return { lanes, clock, batches, go }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('orders left behind', () => {
  test('never share a batch with others, nor hold them up', async () => {
    const { lanes, batches, go } = createLanes()
    const behind = [lanes.add(checkOf('behind-1'), BEHIND), lanes.add(checkOf('behind-2'), BEHIND)]
    await turn()
    const good = await Promise.all(['a', 'b'].map((orderId) => lanes.add(checkOf(orderId), GOOD)))
    expect(good).toEqual([kept(checkOf('a')), kept(checkOf('b'))])
    expect(batches).toEqual([
      ['behind-1', 'behind-2'],
      ['a', 'b'],
    ])
    expect(lanes.isIdle).toBe(false)
    go.resolve()
    expect(await Promise.all(behind)).toEqual([kept(checkOf('behind-1')), kept(checkOf('behind-2'))])
    expect(lanes.isIdle).toBe(true)
  })

  test('are settled one batch after the other, however many come', async () => {
    const { lanes, batches, go } = createLanes()
    const behind = ['1', '2', '3'].map((n) => lanes.add(checkOf(`behind-${n}`), BEHIND))
    await turn()
    expect(batches).toEqual([['behind-1', 'behind-2']])
    go.resolve()
    await Promise.all(behind)
    expect(batches).toEqual([['behind-1', 'behind-2'], ['behind-3']])
  })
})

test('more than half of the slots are never taken by orders left behind: the others are undecided, without asking', async () => {
  const { lanes, batches, go } = createLanes()
  const behind = ['1', '2', '3', '4', '5'].map((n) => lanes.add(checkOf(`behind-${n}`), BEHIND))
  expect(await behind[4]).toMatchObject({ kind: 'failed', error: { code: 'STORE_UNDECIDED', retryable: true } })
  go.resolve()
  await Promise.all(behind)
  expect(batches.flat()).toEqual(['behind-1', 'behind-2', 'behind-3', 'behind-4'])
})

describe('a fetch', () => {
  test('comes at once while orders left behind have room', async () => {
    const { lanes, clock } = createLanes()
    void lanes.add(checkOf('behind-1'), BEHIND)
    expect(lanes.isCrowded).toBe(false)
    await lanes.untilFetch()
    expect(clock.sleeping).toEqual([])
  })

  test('waits a little while they have none: the slots do not fill with them, and a good order is found soon', async () => {
    const { lanes, clock } = createLanes()
    for (const n of [1, 2]) void lanes.add(checkOf(`behind-${n}`), BEHIND)
    expect(lanes.isCrowded).toBe(true)
    let isDue = false
    const due = lanes.untilFetch().then(() => {
      isDue = true
    })
    await clock.advance(49)
    expect(isDue).toBe(false)
    await clock.advance(1)
    await due
  })

  test('comes as soon as they have room again', async () => {
    const { lanes, clock, go } = createLanes()
    for (const n of [1, 2]) void lanes.add(checkOf(`behind-${n}`), BEHIND)
    const due = lanes.untilFetch()
    await turn()
    go.resolve()
    await due
    expect([lanes.isCrowded, clock.sleeping]).toEqual([false, []])
  })
})
