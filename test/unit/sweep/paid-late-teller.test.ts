import { expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { EventBus, type Events } from '../../../src/observe/events.ts'
import type { ToldPaidLate } from '../../../src/order/store.ts'
import { createPaidLateTeller } from '../../../src/sweep/paid-late-teller.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const EVERY_MS = 60_000

function open(answers: (ToldPaidLate | Error)[], { tookMs = 0 } = {}) {
  const events = new EventBus()
  const clock = new FakeClock()
  const told: Events['orders-paid-late'][] = []
  const errors: string[] = []
  events.on('orders-paid-late', (event) => told.push(event))
  events.on('store-error', ({ error }) => errors.push((error as OrderExpiryError).code))
  let calls = 0
  let steps = 0
  const tell = async () => {
    await clock.advance(tookMs)
    const answer = answers[calls++] ?? { orders: [], isMore: false }
    if (answer instanceof Error) throw answer
    return answer
  }
  const onStep = () => {
    steps++
  }
  const teller = createPaidLateTeller({ tell, everyMs: EVERY_MS, onStep, events, clock })
  return { teller, clock, told, errors, calls: () => calls, steps: () => steps }
}

const page = (orderId: string, isMore: boolean): ToldPaidLate => ({ orders: [{ orderId }], isMore })

test('it asks until there is no more, and tells of each page', async () => {
  const { teller, told, steps } = open([page('1', true), { orders: [], isMore: true }, page('2', false)])
  await teller()
  expect(told).toEqual([{ orders: [{ orderId: '1' }] }, { orders: [{ orderId: '2' }] }])
  expect(steps()).toBe(3)
})

test('sweeps that come several times a second do not ask each time', async () => {
  const { teller, clock, calls } = open([])
  for (let sweep = 0; sweep < 100; sweep++) await teller()
  expect(calls()).toBe(1)
  await clock.advance(EVERY_MS * 0.9) // a sweep may come a tenth early
  await teller()
  expect(calls()).toBe(2)
})

test('the work of one sweep is bounded, and an error ends it', async () => {
  const endless = open(Array.from({ length: 100 }, (_, n) => page(`${n}`, true)))
  await endless.teller()
  expect(endless.calls()).toBe(12)
  const slow = open(
    Array.from({ length: 100 }, (_, n) => page(`${n}`, true)),
    { tookMs: 2_000 },
  )
  await slow.teller()
  expect(slow.calls()).toBe(3)
  const failed = new OrderExpiryError('STORE_MISMATCH', 'no index')
  const failing = open([
    { ...page('1', true), failed },
    new OrderExpiryError('STORE_UNAVAILABLE', 'away'),
    page('2', false),
  ])
  await failing.teller()
  expect([failing.told.length, failing.errors, failing.calls()]).toEqual([1, ['STORE_MISMATCH'], 2])
})
