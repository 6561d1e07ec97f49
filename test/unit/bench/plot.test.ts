import { describe, expect, test } from '@jest/globals'
import { CASES } from '../../../bench/growth-cases.ts'
import { linearScale, logScale, niceSteps, svg, text } from '../../../bench/plot.ts'
import { growthPlot } from '../../../bench/plot-growth.ts'
import { latenessPlot } from '../../../bench/plot-lateness.ts'
import { measured } from './measured.ts'

/** The names of all elements, if every one is closed in its place. */
function elementsOf(xml: string): string[] {
  const open: string[] = []
  const names: string[] = []
  for (const [, slash, name = '', attributes = '', isEmpty] of xml.matchAll(
    /<(\/?)([a-z]+)((?:\s[\w:-]+="[^"<&]*")*)(\/?)>/g,
  )) {
    if (slash) expect(open.pop()).toBe(name)
    else {
      names.push(name)
      if (!isEmpty) open.push(name)
    }
    expect(attributes).not.toMatch(/NaN|undefined|Infinity/)
  }
  expect(open).toEqual([])
  // Nothing that looks like markup has been passed over.
  expect(xml.replace(/<(\/?)([a-z]+)((?:\s[\w:-]+="[^"<&]*")*)(\/?)>/g, '')).not.toMatch(/[<]/)
  return names
}

function distribution(contender: string, ofCase: string, samples: number[]) {
  return measured({ question: 'lateness', contender, case: ofCase, samples })
}

const samples = (factor: number) => Array.from({ length: 1_000 }, (_, index) => factor * (1 + index / 100))

describe('the plot of lateness', () => {
  const plot = latenessPlot([
    distribution('bullmq', '100/s', samples(50)),
    distribution('ours', '100/s', samples(1)),
    distribution('ours', '1,000/s', samples(2)),
    distribution('bullmq', '1,000/s', [0, 0, 12_345]),
  ]) as string

  test('is well-formed, with a line for each contender and rate', () => {
    expect(elementsOf(plot).filter((name) => name === 'path')).toHaveLength(4)
  })

  test('names rates, axes and contenders, and knows a dark page', () => {
    for (const words of ['100 deadlines per second', '1,000 deadlines per second', 'lateness, ms', 'ours', 'bullmq']) {
      expect(plot).toContain(words)
    }
    expect(plot).toContain('prefers-color-scheme:dark')
    expect(plot).toMatch(/<rect class="back"/)
  })

  test('stays small', () => {
    expect(plot.length).toBeLessThan(60_000)
  })

  test('is not drawn of nothing', () => {
    expect(latenessPlot([measured()])).toBeUndefined()
    expect(latenessPlot([distribution('ours', '100/s', [])])).toBeUndefined()
  })
})

describe('the plot of growth', () => {
  const at = (ofCase: string, figures: Record<string, number>) =>
    measured({ question: 'growth', case: ofCase, figures })

  test('is well-formed, with a point for each number of orders in each panel', () => {
    const plot = growthPlot(
      Object.values(CASES).map((ofCase, index) =>
        at(ofCase, { settledPerSecond: 10_000 - index, p99: 7.5, sweepMs: 10 * index }),
      ),
    ) as string
    expect(elementsOf(plot).filter((name) => name === 'circle')).toHaveLength(12)
    expect(plot).toContain('9,999')
    expect(plot).toContain('10 million rows in the table')
  })

  test('is drawn of what is there', () => {
    const plot = growthPlot([at(CASES.million, { settledPerSecond: 10_000 })]) as string
    expect(elementsOf(plot).filter((name) => name === 'circle')).toHaveLength(1)
    expect(growthPlot([])).toBeUndefined()
  })
})

describe('the pieces', () => {
  test('words are escaped', () => {
    const drawn = svg({
      width: 1,
      height: 1,
      title: '<&>',
      description: '"',
      body: [text({ x: 0, y: 0, text: 'a<b & "c"' })],
    })
    elementsOf(drawn)
    expect(drawn).toContain('a&lt;b &amp; &quot;c&quot;')
  })

  test('a logarithmic scale has its tens at even distances, and begins at its least', () => {
    const scale = logScale({ min: 1, max: 1_000 }, { min: 0, max: 300 })
    expect([0, 1, 10, 100, 1_000].map((value) => Math.round(scale(value)))).toEqual([0, 0, 100, 200, 300])
  })

  test('a linear scale may be turned round', () => {
    expect(linearScale({ min: 0, max: 10 }, { min: 100, max: 0 })(2.5)).toBe(75)
  })

  test.each([
    { max: 10, expected: [0, 2.5, 5, 7.5, 10] },
    { max: 16_000, expected: [0, 5_000, 10_000, 15_000, 20_000] },
    { max: 0.35, expected: [0, 0.1, 0.2, 0.3, 0.4] },
    { max: 0, expected: [0, 1] },
  ])('an axis up to $max has round steps', ({ max, expected }) => {
    expect(niceSteps(max)).toEqual(expected)
  })
})
