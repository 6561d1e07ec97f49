import { expect, test } from '@jest/globals'
import { DryRun } from '../../../src/order/dry-run.ts'
import { NOW, RecordingStore } from './recording-store.ts'

function createDryRun(remembered?: number) {
  const store = new RecordingStore()
  const reported: string[] = []
  const full: number[] = []
  const dryRun = new DryRun({
    store,
    ...(remembered && { remembered }),
    onWouldCancel: (orderId) => reported.push(orderId),
    onFull: (orders) => full.push(orders),
  })
  return { store, reported, full, dryRun }
}

test('what would be cancelled is postponed by a minute of the clock of the store, and stays as it is', async () => {
  const { store, dryRun } = createDryRun()
  const checks = store.placeMany(3)
  const outcomes = await dryRun.cancelUnpaid(checks)
  const evidence = { decidedAt: NOW, status: 'pending', deadline: NOW - 1_000 }
  expect(outcomes).toEqual(Array(3).fill({ kind: 'postponed', until: NOW + 60_000, reason: 'dry-run', evidence }))
  expect(store.count('pending')).toBe(3)
  expect(store.calls.map(({ what }) => what)).toEqual(['dryRun'])
})

test('each order is reported once, however often and how many times in a batch it comes', async () => {
  const { store, dryRun, reported } = createDryRun()
  const [first, second] = store.placeMany(2)
  if (!first || !second) throw new Error('placed none')
  await dryRun.cancelUnpaid([first, first])
  await dryRun.cancelUnpaid([first, second])
  await dryRun.cancelUnpaid([second])
  expect(reported).toEqual([first.orderId, second.orderId])
})

test('every other outcome is left as it is, and is not reported', async () => {
  const { store, dryRun, reported } = createDryRun()
  store.set('paid', 'paid')
  const [later] = store.placeMany(1, NOW + 1)
  const checks = [
    { orderId: 'paid', deadline: 0 },
    { orderId: 'nobody', deadline: 0 },
    { orderId: later?.orderId as string, deadline: 0 },
  ]
  expect(await dryRun.cancelUnpaid(checks)).toEqual(await store.cancelUnpaid(checks, { dryRun: true }))
  expect(reported).toEqual([])
})

test('100,000 orders are reported; that there are more is told once, and none is reported again', async () => {
  const { store, dryRun, reported, full } = createDryRun()
  const checks = store.placeMany(100_001)
  await dryRun.cancelUnpaid(checks.slice(0, 100_000))
  await dryRun.cancelUnpaid(checks.slice(0, 100_000))
  expect([reported.length, full]).toEqual([100_000, []])
  for (let n = 0; n < 2; n++) {
    const outcomes = await dryRun.cancelUnpaid(checks)
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['postponed']))
  }
  expect([reported.length, full]).toEqual([100_000, [100_000]])
})

test('a sweep by hand reports as many as there are', async () => {
  const { store, dryRun, reported, full } = createDryRun(Number.POSITIVE_INFINITY)
  await dryRun.cancelUnpaid(store.placeMany(100_001))
  expect([reported.length, full]).toEqual([100_001, []])
})

test('a store that rejects makes it reject', async () => {
  const { store, dryRun } = createDryRun()
  store.cancelUnpaid = () => Promise.reject(new Error('away'))
  await expect(dryRun.cancelUnpaid([])).rejects.toThrow('away')
})
