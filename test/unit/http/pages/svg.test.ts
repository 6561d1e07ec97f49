import { expect, test } from '@jest/globals'
import { barChart, dashChart } from '../../../../src/http/pages/svg.ts'

test('bars stand upon each other, and each says its numbers', () => {
  const chart = barChart({
    title: 'a & b',
    labels: ['10:00', '10:01'],
    series: [
      { name: 'x', look: 'a', values: [1_000, 0] },
      { name: 'y', look: 'b', values: [1_000, 400] },
    ],
  })
  const rects = [...chart.matchAll(/<rect class="(\w)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"/g)].map(
    ([, look, y, height]) => [look, Number(y), Number(height)],
  )
  expect(rects).toEqual([
    ['a', 50, 50],
    ['b', 0, 50],
    ['b', 80, 20],
  ])
  expect(chart).toContain('<title>10:00: x 1,000, y 1,000</title>')
  expect(chart).toContain('role="img" aria-label="a &#38; b"')
  expect(chart).toContain('<span>2,000</span><span>1,000</span><span>0</span>')
})

test('dashes have gaps where nothing is known, and a scale in words', () => {
  const chart = dashChart({
    title: 't',
    wordOf: (ms) => `${ms} ms`,
    labels: ['1', '2', '3', '4'],
    series: [{ name: 'p', look: 'a', values: [10, 100, undefined, 1] }],
  })
  expect(/ d="([^"]+)"/.exec(chart)?.[1]?.replace(/[\d. ]/g, '')).toBe('MLM')
  expect(chart.match(/<rect class="a"/g)).toHaveLength(3)
  expect(chart).toContain('<span>100 ms</span><span>10 ms</span><span>1 ms</span>')
  expect(chart).toContain('<title>2: p 100 ms</title>')
})
