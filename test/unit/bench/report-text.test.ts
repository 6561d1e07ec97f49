import { describe, expect, test } from '@jest/globals'
import { fillPage, sections } from '../../../bench/docs.ts'
import { GOALS } from '../../../bench/goals.ts'
import type { Measured } from '../../../bench/question.ts'
import type { Asked } from '../../../bench/question-tables.ts'
import { reportMarkdown, reportText } from '../../../bench/report-text.ts'
import { nameOfRun } from '../../../bench/results.ts'
import { measured, results } from './measured.ts'

const burst: Asked = {
  name: 'burst',
  title: 'All at once.',
  columns: [
    { key: 'settledPerSecond', title: 'settled', unit: '/s', better: 'more' },
    { key: 'wrong', title: 'wrong', unit: 'orders', better: 'less' },
  ],
}
const lateness: Asked = {
  name: 'lateness',
  title: 'One by one.',
  columns: [
    { key: 'p50', title: 'p50', unit: 'ms', better: 'less', decimals: 1 },
    { key: 'p99', title: 'p99', unit: 'ms', better: 'less', decimals: 1 },
  ],
}
const memory: Asked = {
  name: 'memory',
  title: 'Waiting.',
  columns: [{ key: 'bytes', title: 'bytes', unit: '', better: 'less' }],
}

const twoContenders = results({
  questions: [burst],
  measured: [
    measured({ contender: 'bullmq', figures: { settledPerSecond: 5_000, wrong: 0 } }),
    measured({ figures: { settledPerSecond: 12_500, wrong: 0 } }),
    measured({ round: 2, contender: 'bullmq', figures: { settledPerSecond: 6_000, wrong: 0 } }),
    measured({ round: 2, figures: { settledPerSecond: 12_000, wrong: 0 } }),
  ],
})

describe('the tables on the terminal', () => {
  test('show medians, ours first, and ratios behind the others', () => {
    expect(reportText(twoContenders).slice(0, 6)).toEqual([
      '',
      'BURST  All at once.',
      '',
      '           settled, /s           wrong, orders',
      '  ours          12,250                       0',
      '  bullmq         5,500  0.45 ×               0',
    ])
  })

  test('one for each case', () => {
    const at = (ofCase: string, p50: number) =>
      measured({ question: 'lateness', case: ofCase, figures: { p50, p99: 10 * p50 } })
    const other = measured({ question: 'lateness', contender: 'cron', case: '100/s', figures: { p50: 500, p99: 990 } })
    const all = results({ questions: [lateness], measured: [at('100/s', 1.25), at('1,000/s', 2.5), other] })
    expect(reportText(all).slice(2, 9)).toEqual([
      '',
      '  100/s   p50, ms          p99, ms',
      '  ours        1.3             12.5',
      '  cron      500.0  400 ×     990.0  79.2 ×',
      '',
      '  1,000/s   p50, ms   p99, ms',
      '  ours          2.5      25.0',
    ])
  })

  test('with the cases side by side where there is one figure only', () => {
    const at = (contender: string, ofCase: string, bytes: number) =>
      measured({ question: 'memory', contender, case: ofCase, figures: { bytes } })
    const all = [at('ours', 'UUID', 500), at('ours', 'bigint', 400), at('bullmq', 'UUID', 1_000)]
    expect(reportText(results({ questions: [memory], measured: all })).slice(3, 6)).toEqual([
      '  bytes     UUID           bigint',
      '  ours       500              400',
      '  bullmq   1,000  2.00 ×        –',
    ])
  })

  test('with the cases as rows where there is one contender only', () => {
    const at = (ofCase: string, p50: number) =>
      measured({ question: 'lateness', case: ofCase, figures: { p50, p99: 10 * p50 } })
    const all = results({ questions: [lateness], measured: [at('few', 1), at('many', 2)] })
    expect(reportText(all).slice(3, 6)).toEqual([
      '         p50, ms   p99, ms',
      '  few        1.0      10.0',
      '  many       2.0      20.0',
    ])
  })

  test('say how the goals stand that were asked for, and which were missed', () => {
    const lines = reportText(twoContenders)
    const goals = lines.slice(lines.indexOf('GOALS') + 2)
    expect(goals).toContainEqual(expect.stringMatching(/^✗ burst: ours \/ bullmq +2\.25 +at least 4\.5 +missed$/))
    expect(goals).toContainEqual(expect.stringMatching(/^ {2}burst: ours \/ cron +– +at least 0\.85 +not measured$/))
    expect(goals.at(-1)).toMatch(/^✓ burst: orders wrongly decided by ours, in any round +0 +none +reached$/)
  })

  test('of a quick run warn, and judge nothing', () => {
    const lines = reportText({ ...twoContenders, quick: true })
    expect(lines.join('\n')).toContain('worth nothing')
    expect(lines).not.toContain('GOALS')
  })
})

test('Markdown has the same, with the machine', () => {
  const lines = reportMarkdown(twoContenders)
  expect(lines).toContain('- cores: 2')
  expect(lines).toContain('| **ours** | 12,250 | 0 |')
  expect(lines).toContain('| bullmq | 5,500 (0.45 ×) | 0 |')
  const tables = lines.filter((line) => line.startsWith('|'))
  for (const line of tables) expect(line.endsWith(' |')).toBe(true)
})

describe('the page', () => {
  test('has its marked sections replaced, again and again, and nothing else', () => {
    const page =
      'A\n\n<!-- begin burst -->\n\nold\n\n<!-- end burst -->\n\nB\n\n<!-- begin idle -->\n\nkept\n\n<!-- end idle -->\n'
    const once = fillPage(page, sections(twoContenders))
    expect(once).toMatch(/^A\n\n<!-- begin burst -->\n\nAll at once\. \(2030-01-02\)\n\n\|/)
    expect(once).not.toContain('old')
    expect(once).toMatch(/\n\n<!-- end burst -->\n\nB\n\n<!-- begin idle -->\n\nkept\n\n<!-- end idle -->\n$/)
    expect(fillPage(once, sections(twoContenders))).toBe(once)
  })

  test('has goals and machine of a whole run only', () => {
    expect(Object.keys(sections(twoContenders))).toEqual(['burst'])
    const whole = results({ questions: named('burst', 'lateness'), measured: everyGoal() })
    expect(Object.keys(sections(whole))).toEqual(['burst', 'lateness', 'goals', 'machine', 'contenders'])
  })

  test('keeps what it has of a question that nothing was measured for', () => {
    expect(sections(results({ questions: [burst], measured: [] }))).toEqual({})
  })

  test('has the goals of a question that is put only by name below its table, and nowhere else', () => {
    const million: Asked = { ...burst, name: 'million' }
    const figures = { secondsUntilLast: 27.4, peakMb: 301, wrong: 0 }
    const alone = results({ questions: [million], measured: [measured({ question: 'million', figures })] })
    const below = sections(alone).million?.slice(-3)
    expect(below?.[0]).toMatch(
      /^\| a million due at once: until the last is settled \| 27 s \| under 60 s \| reached \|$/,
    )
    expect(below?.[1]).toMatch(/\| 301 MB \| under 300 MB \| missed \|$/)
    const whole = results({ questions: named('burst', 'lateness'), measured: everyGoal() })
    expect(sections(whole).goals?.join('\n')).not.toContain('a million')
  })

  test('begins with what to remember of a whole run', () => {
    const rates = ['100/s', '1,000/s', '4,000/s', '10,000/s']
    const figures = { settledPerSecond: 1_000, cpu: 1, wrong: 0 }
    const told = ['ours', 'bullmq', 'cron'].flatMap((contender) => [
      measured({ contender, figures }),
      ...rates.map((rate) => measured({ question: 'lateness', contender, case: rate, figures: { p99: 5 } })),
    ])
    const run = results({ questions: named('burst', 'lateness'), measured: [...everyGoal(), ...told] })
    expect(Object.keys(sections(run))[0]).toBe('takeaway')
    expect(reportText(run).join('\n')).toContain('99 of 100 orders within 5.0 ms')
  })
})

describe('a run is called', () => {
  const whole = { quick: false, questions: named('burst', 'lateness'), measured: everyGoal() }

  test.each([
    { name: 'latest', run: whole },
    { name: 'latest', run: { ...whole, measured: everyGoal().filter(({ question }) => question !== 'million') } },
    { name: 'some', run: { ...whole, measured: everyGoal().slice(1) } },
    { name: 'quick', run: { ...whole, quick: true } },
    { name: 'tuning', run: { ...whole, questions: named('tuning') } },
  ])('$name', ({ name, run }) => {
    expect(nameOfRun(run)).toBe(name)
  })
})

function named(...names: string[]): Asked[] {
  return names.map((name) => ({ ...burst, name }))
}

/** As little as makes a run a whole one. */
function everyGoal(): Measured[] {
  return GOALS.flatMap(({ of, to }) => [of, ...(to ? [to] : [])]).map(({ key, ...name }) =>
    measured({ ...name, figures: { [key]: 1 } }),
  )
}
