import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { stringify } from 'yaml'
import { EventBus } from '../../src/observe/events.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { fakeVitals } from '../helpers/fake-vitals.ts'
import { parseQuery, type Selector } from './promql.ts'
import { OF_PROMETHEUS, readDashboard, readQueries, TARGET_LABELS } from './queries.ts'

/** The labels of each series that the registry of the daemon can have, by the name of the series. */
function knownSeries(): Map<string, readonly string[]> {
  const registry = createMetrics({ events: new EventBus(), vitals: fakeVitals() })
  const series = new Map(Object.entries(OF_PROMETHEUS))
  for (const metric of registry.getMetricsAsArray()) {
    // prom-client has it on every metric, and its types do not.
    const { labelNames = [] } = metric as unknown as { labelNames?: readonly string[] }
    const { name, type } = metric as unknown as { name: string; type: string }
    if (type !== 'histogram') series.set(name, labelNames)
    else {
      series.set(`${name}_bucket`, [...labelNames, 'le'])
      series.set(`${name}_sum`, labelNames)
      series.set(`${name}_count`, labelNames)
    }
  }
  return series
}

const known = knownSeries()

/** What is wrong with a query, one line each. */
function problemsOf(query: string): string[] {
  const { selectors, groupings } = parseQuery(query)
  const hasLabel = ({ metric }: Selector, label: string) =>
    TARGET_LABELS.includes(label) || (known.get(metric)?.includes(label) ?? false)
  return [
    ...selectors.filter(({ metric }) => !known.has(metric)).map(({ metric }) => `no metric ${metric}`),
    ...selectors.flatMap((selector) =>
      selector.matchers
        .filter(({ label }) => known.has(selector.metric) && !hasLabel(selector, label))
        .map(({ label }) => `no label ${label} on ${selector.metric}`),
    ),
    ...groupings
      .filter(({ label, selectors: grouped }) => !grouped.every((selector) => hasLabel(selector, label)))
      .map(({ label }) => `no label ${label} to group by`),
  ]
}

const queries = readQueries()

describe('every query names only metrics and labels that the daemon has:', () => {
  test.each(queries)('%s', (_where, query) => {
    expect(problemsOf(query)).toEqual([])
  })
})

test('a query that names what is not there is caught', () => {
  expect(problemsOf('rate(order_expiry_decisions_total{outcome="kept"}[5m])')).toEqual([])
  expect(problemsOf('order_expiry_decision_total')).toEqual(['no metric order_expiry_decision_total'])
  expect(problemsOf('order_expiry_check_lateness_seconds')).toEqual(['no metric order_expiry_check_lateness_seconds'])
  expect(problemsOf('order_expiry_jobs{status="failed"}')).toEqual(['no label status on order_expiry_jobs'])
  expect(problemsOf('sum by (outcome) (order_expiry_jobs)')).toEqual(['no label outcome to group by'])
  expect(problemsOf('max(order_expiry_jobs) / on (state) order_expiry_dry_run')).toEqual(['no label state to group by'])
  expect(() => problemsOf('sum by (le')).toThrow('no PromQL at')
  expect(() => problemsOf('{job="order-expiry"}')).toThrow('expected a metric by its name')
})

test('Prometheus takes every query, types and all', () => {
  const directory = mkdtempSync(join(tmpdir(), 'order-expiry-queries-'))
  try {
    const file = join(directory, 'rules.yaml')
    const rules = queries.map(([where, expr], n) => ({ record: `query:${n}`, expr, labels: { where } }))
    writeFileSync(file, stringify({ groups: [{ name: 'queries', rules }] }))
    const { stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
    expect(stdout + stderr).toContain(`SUCCESS: ${queries.length} rules found`)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('the dashboard is of the newest form, and every panel asks the Prometheus that is chosen', () => {
  const { schemaVersion, panels, templating } = readDashboard()
  expect(schemaVersion).toBe(42)
  expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
    ['datasource', 'datasource'],
    ['namespace', 'query'],
    ['job', 'query'],
  ])
  for (const panel of panels.filter(({ type }) => type !== 'row')) {
    expect(panel).toMatchObject({ datasource: { uid: `\${datasource}` }, description: expect.stringMatching(/\.$/) })
    for (const { expr } of panel.targets ?? []) {
      for (const { metric, matchers } of parseQuery(expr.replaceAll('$__rate_interval', '1m')).selectors) {
        const chosen = matchers.map(({ label, op, value }) => `${label}${op}${value}`)
        expect([metric, chosen]).toEqual([metric, expect.arrayContaining(['namespace=~$namespace', 'job=~$job'])])
      }
    }
  }
})
