import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import type { ScheduleResult } from '../../../src/client/results.ts'
import { type ScheduleCall, ScheduleCalls } from '../../../src/client/shared-trips.ts'
import { OrderExpiryError } from '../../../src/errors.ts'

type Outcome = ScheduleResult | OrderExpiryError

const resultOf = ({ orderId }: ScheduleCall): ScheduleResult => ({
  orderId: String(orderId),
  result: 'scheduled',
  deadline: new Date(0),
})

/** Calls whose round trips stay under way until the test answers them. */
function createCalls(limits: { maxTogether: number; maxUnderWay: number }) {
  const sent: ScheduleCall[][] = []
  const answers: (() => void)[] = []
  const calls = new ScheduleCalls({
    run: (together) => {
      sent.push([...together])
      return new Promise<Outcome[]>((resolve) => {
        answers.push(() => resolve(together.map(resultOf)))
      })
    },
    ...limits,
  })
  let made = 0
  return {
    sent,
    sizes: () => sent.map(({ length }) => length),
    /** Makes calls, of the orders 0, 1, 2 …; gives their results, in order. */
    call: (count: number) => Array.from({ length: count }, () => calls.add({ orderId: made++ })),
    async answer(index: number) {
      answers.splice(index, 1)[0]?.()
      await nextTurn()
    },
  }
}

describe('a call', () => {
  test('leaves at once, before its caller goes on', () => {
    const { call, sizes } = createCalls({ maxTogether: 10, maxUnderWay: 2 })
    call(1)
    expect(sizes()).toEqual([1])
  })

  test('leaves together with those made in the same turn after the first', async () => {
    const { call, sizes } = createCalls({ maxTogether: 10, maxUnderWay: 4 })
    call(3)
    await Promise.resolve()
    call(2)
    await nextTurn()
    expect(sizes()).toEqual([1, 4])
  })

  test('waits only while as many round trips as allowed are under way', async () => {
    const { call, sizes, answer } = createCalls({ maxTogether: 3, maxUnderWay: 2 })
    call(9)
    await nextTurn()
    expect(sizes()).toEqual([1, 3])
    await answer(0)
    expect(sizes()).toEqual([1, 3, 3])
    await answer(1)
    expect(sizes()).toEqual([1, 3, 3, 2])
  })

  test('that an answer sets going leaves with what waited, and with the others that it sets going', async () => {
    const { call, sizes, answer } = createCalls({ maxTogether: 10, maxUnderWay: 2 })
    const first = call(3)
    await nextTurn()
    for (const result of first.slice(1)) void result.then(() => call(1))
    call(1)
    await answer(1)
    expect(sizes()).toEqual([1, 2, 3])
  })

  test('is as it was made, whatever the caller does to the item later', async () => {
    const { sent } = createCalls({ maxTogether: 10, maxUnderWay: 2 })
    const calls = new ScheduleCalls({
      run: async (together) => {
        sent.push([...together])
        return together.map(resultOf)
      },
      maxTogether: 10,
      maxUnderWay: 2,
    })
    void calls.add({ orderId: 'first' })
    const deadline = new Date(1_000)
    const item = { orderId: 'a', deadline }
    void calls.add(item)
    item.orderId = 'b'
    deadline.setTime(2_000)
    await nextTurn()
    expect(sent[1]).toMatchObject([{ orderId: 'a', deadline: new Date(1_000) }])
  })

  test('gets its own result, or a rejection with its own error', async () => {
    const bad = new OrderExpiryError('INVALID_ORDER_ID', 'bad')
    const calls = new ScheduleCalls({
      run: async (together) => together.map((call) => (call.orderId === 'bad' ? bad : resultOf(call))),
      maxTogether: 10,
      maxUnderWay: 1,
    })
    const results = await Promise.allSettled(['a', 'bad', 'b'].map((orderId) => calls.add({ orderId })))
    expect(results).toMatchObject([
      { status: 'fulfilled', value: { orderId: 'a' } },
      { status: 'rejected', reason: bad },
      { status: 'fulfilled', value: { orderId: 'b' } },
    ])
  })
})
