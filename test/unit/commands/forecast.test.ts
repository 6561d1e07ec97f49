import { expect, test } from '@jest/globals'
import { drawForecast } from '../../../src/commands/forecast.ts'

test('a forecast is drawn as bars of three minutes each, the longest of them the most', () => {
  const minutes = new Array<number>(60).fill(0)
  minutes[0] = 1_000
  minutes[4] = 500
  minutes[59] = 1
  const lines = drawForecast({
    at: Date.parse('2026-11-25T10:07:30Z'),
    waiting: 1_501,
    due: 12,
    within: { '1m': 1_000, '5m': 1_500, '15m': 1_500, '60m': 1_501 },
    minutes,
  })
  expect(lines[0]).toBe('due now: 12   within 1m: 1,000   within 5m: 1,500   within 15m: 1,500   within 60m: 1,501')
  expect(lines).toHaveLength(3 + 20)
  expect(lines[3]).toBe(`10:07  1,000  ${'█'.repeat(50)}`)
  expect(lines[4]).toBe(`10:10    500  ${'█'.repeat(25)}`)
  expect(lines[5]).toBe('10:13      0')
  expect(lines[22]).toBe('11:04      1  █')
})

test('nothing to come is drawn, too', () => {
  const lines = drawForecast({
    at: 0,
    waiting: 0,
    due: 0,
    within: { '1m': 0, '5m': 0, '15m': 0, '60m': 0 },
    minutes: new Array<number>(60).fill(0),
  })
  expect(lines.slice(3).every((line) => /^\d\d:\d\d {2}0$/.test(line))).toBe(true)
})
