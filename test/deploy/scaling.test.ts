import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { stringify } from 'yaml'
import { readTriggers } from './queries.ts'

/** What the daemon says where nothing is the matter, of orders that are to come or have been left overdue. */
const CALM = {
  'order_expiry_upcoming_checks{within="1m"}': 0,
  'order_expiry_upcoming_checks{within="5m"}': 120,
  'order_expiry_upcoming_checks{within="60m"}': 9_000,
  order_expiry_overdue_orders: 7,
  order_expiry_brake_engaged: 0,
  order_expiry_dry_run: 0,
  order_expiry_store_up: 1,
}

/** Per trigger: what the processes say beside that, and what KEDA gets; undefined where it gets nothing. */
const CASES: Record<string, [what: string, says: Record<string, number>, gets: number | undefined][]> = {
  upcoming: [
    ['what falls due within five minutes', {}, 120],
    ['the same while the brake is engaged', { order_expiry_brake_engaged: 1 }, 120],
  ],
  overdue: [
    ['what the sweeps left', {}, 7],
    ['nothing while the brake holds it back', { order_expiry_brake_engaged: 1 }, undefined],
    ['nothing in a dry run', { order_expiry_dry_run: 1 }, undefined],
    ['nothing while the order store is down', { order_expiry_store_up: 0 }, undefined],
  ],
}

test('there are cases for every trigger', () => {
  expect(readTriggers().map(({ name }) => name)).toEqual(Object.keys(CASES))
})

describe.each(readTriggers())('KEDA scales by $name:', ({ name, query, threshold }) => {
  test.each(CASES[name] ?? [])('%s', (_what, says, gets) => {
    expect(evaluate({ query, says: { ...CALM, ...says }, gets })).toContain('SUCCESS')
  })

  test('a replica for each so many', () => {
    expect(threshold).toMatch(/^[1-9]\d*$/)
  })
})

/** Two processes say the same. @returns what promtool prints; SUCCESS if the query gets that value */
function evaluate(options: { query: string; says: Record<string, number>; gets: number | undefined }): string {
  const { query, says, gets } = options
  const input = Object.entries(says).flatMap(([series, value]) =>
    ['a', 'b'].map((instance) => {
      const [metric, labels = ''] = series.replace('}', ',').split('{')
      return { series: `${metric}{${labels}job="order-expiry",instance="${instance}"}`, values: `${value}x10` }
    }),
  )
  const samples = gets === undefined ? [] : [{ labels: '{}', value: gets }]
  const questions = [{ expr: query, eval_time: '1m', exp_samples: samples }]
  const directory = mkdtempSync(join(tmpdir(), 'order-expiry-scaling-'))
  try {
    const file = join(directory, 'test.yaml')
    writeFileSync(file, stringify({ tests: [{ interval: '15s', input_series: input, promql_expr_test: questions }] }))
    const { stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' })
    return stdout + stderr
  } finally {
    rmSync(directory, { recursive: true })
  }
}
