import { describe, expect, test } from '@jest/globals'
import { idsAndDeadlines, idsAndMs, toOutcomes } from '../../../../src/stores/postgres/rows.ts'

const NOW = Date.UTC(2030, 0, 1)
const DUE = NOW - 1_000

/** The outcomes of rows of which the first says when it is. */
const outcomes = (...rows: unknown[][]) =>
  toOutcomes(
    rows.map((row, n) => [...row, n === 0 ? NOW - 0.4 : null]),
    'cancelled',
    [],
  )
const evidence = { decidedAt: NOW, status: 'pending', deadline: DUE }

test('each row is an outcome, in their order, decided at the same moment', () => {
  expect(
    outcomes(
      ['cancelled', 'pending', DUE],
      ['missing', null, null],
      ['kept', 'shipped', DUE],
      ['paid', 'pending', DUE],
      ['unpaid', 'pending', DUE],
      ['unpaid', 'pending', NOW + 5.2],
      ['again', 'pending', DUE],
    ),
  ).toEqual([
    { kind: 'cancelled', at: NOW, evidence },
    { kind: 'missing', evidence: { decidedAt: NOW } },
    { kind: 'kept', status: 'shipped', evidence: { ...evidence, status: 'shipped' } },
    { kind: 'kept', status: 'pending', evidence: { ...evidence, paid: true } },
    { kind: 'postponed', until: NOW + 300, reason: 'locked', evidence },
    { kind: 'postponed', until: NOW + 6, reason: 'not-due', evidence: { ...evidence, deadline: NOW + 6 } },
    { kind: 'kept', status: 'cancelled', evidence: { ...evidence, status: 'cancelled' } },
  ])
})

test.each([null, Number.POSITIVE_INFINITY])('an unpaid order with the deadline %s is kept', (deadline) => {
  expect(outcomes(['unpaid', 'pending', deadline])).toEqual([
    { kind: 'kept', status: 'pending', evidence: { decidedAt: NOW, status: 'pending', deadline: undefined } },
  ])
})

test('no row is no outcome', () => {
  expect(outcomes()).toEqual([])
})

describe('what is no answer of our statements is an error:', () => {
  test.each<[string, unknown[]]>([
    ['another word', ['expired', 'pending', DUE]],
    ['a row that is no array', [{ outcome: 'kept' }]],
    ['a deadline that is text', ['kept', 'paid', `${DUE}`]],
    ['a status that is a number', ['kept', 1, DUE]],
    ['a column too few', ['kept', 'paid']],
    ['two columns too many', ['kept', 'paid', DUE, null, null]],
  ])('%s', (_, row) => {
    expect(() => outcomes(row)).toThrow()
    expect(() => outcomes(['kept', 'paid', DUE], row)).toThrow()
  })

  test('no time', () => {
    expect(() => toOutcomes([['kept', 'paid', DUE, null]], 'cancelled', [])).toThrow()
  })
})

test('deadlines that PostgreSQL cannot hold are sent as what is infinite', () => {
  const checks = [DUE, -9e15, 9e15, -8.6e15].map((deadline, n) => ({ orderId: `${n}`, deadline }))
  expect(idsAndMs(checks)).toEqual(['{"0","1","2","3"}', `{"${DUE}","-Infinity","Infinity","-Infinity"}`])
  expect(idsAndDeadlines(checks)[1]).toEqual([new Date(DUE), '-infinity', 'infinity', '-infinity'])
})
