import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { median, medianOf, medianRatio, mostOf } from '../../../bench/figures.ts'
import { measured } from './measured.ts'

const speed = { question: 'burst', contender: 'ours', case: '', key: 'speed' }
const theirs = { ...speed, contender: 'bullmq' }

function rounds(contender: string, speeds: readonly number[]) {
  return speeds.map((speed, index) => measured({ contender, round: index + 1, figures: { speed } }))
}

describe('the median', () => {
  test.each([
    { values: [], expected: undefined },
    { values: [7], expected: 7 },
    { values: [9, 1, 5], expected: 5 },
    { values: [4, 1, 3, 2], expected: 2.5 },
  ])('of $values is $expected', ({ values, expected }) => {
    expect(median(values)).toBe(expected)
  })

  test('has as many values above as below, and leaves them in their order', () => {
    const values = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }), { minLength: 1 })
    fc.assert(
      fc.property(values, (list) => {
        const before = [...list]
        const middle = median(list) as number
        const below = list.filter((value) => value < middle).length
        const above = list.filter((value) => value > middle).length
        expect(Math.max(below, above)).toBeLessThanOrEqual(list.length / 2)
        expect(list).toEqual(before)
      }),
    )
  })
})

describe('over the rounds', () => {
  const all = [...rounds('ours', [10, 30, 20]), ...rounds('bullmq', [5, 5, 10])]

  test('a figure is the median, or the most', () => {
    expect(medianOf(all, speed)).toBe(20)
    expect(mostOf(all, speed)).toBe(30)
  })

  test('a ratio is taken within each round before the median', () => {
    // 2, 6 and 2; the ratio of the medians would be 4.
    expect(medianRatio(all, speed, theirs)).toBe(2)
  })

  test('only rounds that have both count', () => {
    expect(medianRatio([...rounds('ours', [10, 30]), ...rounds('bullmq', [5])], speed, theirs)).toBe(2)
  })

  test('what was not measured has no figure', () => {
    expect(medianOf(all, { ...speed, key: 'memory' })).toBeUndefined()
    expect(mostOf(all, { ...speed, case: '100/s' })).toBeUndefined()
    expect(medianOf([measured({ figures: { speed: Number.NaN } })], speed)).toBeUndefined()
    expect(medianRatio(rounds('ours', [1]), speed, theirs)).toBeUndefined()
    expect(medianRatio([...rounds('ours', [1]), ...rounds('bullmq', [0])], speed, theirs)).toBeUndefined()
  })
})
