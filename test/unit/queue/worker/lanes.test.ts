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

/** Lanes whose batches of orders left behind wait for `go`. */
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

  test('make room after a quarter of a second if their batch has not begun; the store is not asked about them', async () => {
    const { lanes, clock, batches, go } = createLanes()
    const first = lanes.add(checkOf('behind-1'), BEHIND)
    await turn()
    const second = lanes.add(checkOf('behind-2'), BEHIND)
    await clock.advance(249)
    const third = lanes.add(checkOf('behind-3'), BEHIND)
    await clock.advance(1)
    expect(await second).toMatchObject({ kind: 'failed', error: { code: 'STORE_UNDECIDED', retryable: true } })
    go.resolve()
    expect(await Promise.all([first, third])).toEqual([kept(checkOf('behind-1')), kept(checkOf('behind-3'))])
    expect(batches).toEqual([['behind-1'], ['behind-3']])
    expect(clock.sleeping).toEqual([])
  })

  test('whose batch has begun are waited for, however long it takes', async () => {
    const { lanes, clock, go } = createLanes()
    const first = lanes.add(checkOf('behind-1'), BEHIND)
    await turn()
    await clock.advance(10_000)
    go.resolve()
    expect(await first).toEqual(kept(checkOf('behind-1')))
  })

  test('of a batch that have all made room do not reach the store', async () => {
    const { lanes, clock, batches, go } = createLanes()
    const first = lanes.add(checkOf('behind-1'), BEHIND)
    await turn()
    const second = lanes.add(checkOf('behind-2'), BEHIND)
    await clock.advance(250)
    go.resolve()
    await Promise.all([first, second])
    await turn()
    expect(batches).toEqual([['behind-1']])
    expect(lanes.isIdle).toBe(true)
  })
})
