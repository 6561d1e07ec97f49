import { describe, expect, test } from '@jest/globals'
import { describeBound, GOALS, type Goal, judge } from '../../../bench/goals.ts'
import { measured } from './measured.ts'

function goal(part: Partial<Goal>): Goal {
  const of = { question: 'burst', contender: 'ours', case: '', key: 'speed' }
  return { title: 'speed', of, bound: { atLeast: 10 }, unit: '', decimals: 1, ...part }
}

function verdict(part: Partial<Goal>, speeds: readonly number[]) {
  const all = speeds.map((speed, index) => measured({ round: index + 1, figures: { speed } }))
  return judge(all, [goal(part)])[0]?.verdict
}

describe('a goal', () => {
  test.each<{ bound: Goal['bound']; value: number; expected: string }>([
    { bound: { atLeast: 10 }, value: 10, expected: 'reached' },
    { bound: { atLeast: 10 }, value: 9.99, expected: 'missed' },
    { bound: { atMost: 10 }, value: 10, expected: 'reached' },
    { bound: { atMost: 10 }, value: 10.01, expected: 'missed' },
    { bound: { below: 10 }, value: 10, expected: 'missed' },
    { bound: { below: 10 }, value: 9.99, expected: 'reached' },
  ])('$bound with $value is $expected', ({ bound, value, expected }) => {
    expect(verdict({ bound }, [value])).toBe(expected)
  })

  test('counts the median over the rounds, or the most where each round must hold', () => {
    expect(verdict({ bound: { atMost: 0 } }, [0, 0, 1])).toBe('reached')
    expect(verdict({ bound: { atMost: 0 }, over: 'most' }, [0, 0, 1])).toBe('missed')
  })

  test('of a ratio counts the ratio within each round', () => {
    const to = { question: 'burst', contender: 'bullmq', case: '', key: 'speed' }
    const all = [
      measured({ figures: { speed: 30 } }),
      measured({ contender: 'bullmq', figures: { speed: 2 } }),
      measured({ round: 2, figures: { speed: 99 } }),
    ]
    expect(judge(all, [goal({ to })])).toMatchObject([{ figure: 15, verdict: 'reached' }])
  })

  test.each<{ part: Partial<Goal>; expected: string }>([
    { part: { bound: { atLeast: 2.5 }, decimals: 2 }, expected: 'at least 2.5' },
    { part: { bound: { atMost: 15 }, unit: 'ms' }, expected: 'at most 15 ms' },
    { part: { bound: { below: 1 }, unit: '% of a core' }, expected: 'under 1 % of a core' },
    { part: { bound: { atMost: 0 } }, expected: 'none' },
  ])('is described as $expected', ({ part, expected }) => {
    expect(describeBound(goal(part))).toBe(expected)
  })
})

describe('the goals of the bench', () => {
  test('are none of them measured by nothing, and nothing is thrown', () => {
    expect(judge([]).map((one) => one.verdict)).toEqual(GOALS.map(() => 'not measured'))
  })

  test('have titles of their own', () => {
    expect(new Set(GOALS.map(({ title }) => title)).size).toBe(GOALS.length)
  })

  test('are as wide as the bench promises', () => {
    const at = (question: string, contender: string, figures: Record<string, number>, ofCase = '') =>
      measured({ question, contender, case: ofCase, figures })
    const judged = judge([
      at('burst', 'ours', { settledPerSecond: 36_000, cpu: 42, redisCpu: 20.1, wrong: 0 }),
      at('burst', 'before', { settledPerSecond: 15_000, cpu: 100 }),
      at('burst', 'ours-wrapped', { settledPerSecond: 20_900 }),
      at('burst', 'bullmq', { settledPerSecond: 8_000 }),
      at('burst', 'cron', { settledPerSecond: 42_000 }),
      at('lateness', 'ours', { p99: 6 }, '1,000/s'),
      at('lateness', 'before', { p99: 7.4 }, '1,000/s'),
      at('million', 'ours', { secondsUntilLast: 60, peakMb: 299, wrong: 0 }),
      at('idle', 'ours', { workerPercent: 1 }),
    ])
    const verdicts = Object.fromEntries(judged.map(({ goal, verdict }) => [goal.title, verdict]))
    expect(verdicts).toMatchObject({
      'burst: ours / bullmq': 'reached',
      'burst: ours / cron': 'reached',
      'burst: ours-wrapped / before': 'missed',
      'burst: CPU of an order, in all: ours / before': 'reached',
      'burst: CPU of an order, Redis': 'missed',
      'burst: ours / pg-boss': 'not measured',
      'lateness at 1,000/s, p99': 'reached',
      'lateness at 1,000/s, p99: ours / before': 'missed',
      'a million due at once: until the last is settled': 'missed',
      'a million due at once: memory of the daemon, at most': 'reached',
      'idle: CPU of the daemon': 'missed',
    })
  })
})
