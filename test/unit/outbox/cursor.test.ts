import { expect, test } from '@jest/globals'
import { Cursor } from '../../../src/outbox/cursor.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

test('what was read within the last minute is read again every 5 s, what is older only every ten minutes', async () => {
  const clock = new FakeClock()
  const cursor = new Cursor({ clock })
  const begins: (string | undefined)[] = []
  for (let second = 0; second <= 610; second++) {
    const from = cursor.next()
    if (second % 5 === 0) begins.push(from)
    cursor.moveTo(`${second}`) // it reads on to what there is by now
    await clock.advance(1_000)
  }
  const at = (second: number) => begins[second / 5]
  expect([at(0), at(5), at(60)]).toEqual([undefined, undefined, undefined])
  for (const second of [70, 300, 595]) {
    const from = Number(at(second))
    expect(from).toBeLessThanOrEqual(second - 60)
    expect(from).toBeGreaterThanOrEqual(second - 70)
  }
  expect(at(600)).toBeUndefined()
})

test('between these times it goes on where it was', async () => {
  const clock = new FakeClock()
  const cursor = new Cursor({ clock })
  cursor.next()
  await clock.advance(5_000)
  cursor.next()
  cursor.moveTo('7')
  await clock.advance(4_000)
  expect(cursor.next()).toBe('7')
  cursor.reset()
  expect(cursor.next()).toBeUndefined()
})
