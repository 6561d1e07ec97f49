import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** What Prometheus, or its operator, puts on everything that it scrapes. */
export const TARGET_LABELS = ['namespace', 'job', 'instance', 'pod', 'container', 'endpoint']
/** What it says itself. */
export const OF_PROMETHEUS: Record<string, readonly string[]> = {
  up: [],
  ALERTS: ['alertname', 'alertstate', 'severity'],
}

interface Alert {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: Record<string, string>
}

interface Trigger {
  name: string
  query: string
  threshold: string
}

/** Where a query is, in words, and the query. */
type Located = readonly [where: string, query: string]

interface Panel {
  title: string
  type: string
  targets?: { expr: string }[]
}

interface Dashboard {
  schemaVersion: number
  panels: Panel[]
  annotations: { list: { name: string; expr?: string }[] }
  templating: { list: { name: string; type: string; definition?: string }[] }
}

export function readAlerts(): Alert[] {
  const { groups } = parse(readFileSync('deploy/prometheus/rules.yaml', 'utf8')) as { groups: { rules: Alert[] }[] }
  return groups.flatMap(({ rules }) => rules)
}

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync('deploy/grafana/dashboard.json', 'utf8')) as Dashboard
}

/** What the scaling goes by. */
export function readTriggers(): Trigger[] {
  const { spec } = parse(readFileSync('deploy/kubernetes/components/keda/scaled-object.yaml', 'utf8')) as {
    spec: { triggers: { name: string; metadata: Omit<Trigger, 'name'> }[] }
  }
  return spec.triggers.map(({ name, metadata }) => ({ name, ...metadata }))
}

/** All that is asked of Prometheus: by alerts, by the dashboard with its variables, and by the scaling. */
export function readQueries(): Located[] {
  const { panels, annotations, templating } = readDashboard()
  return [
    ...readAlerts().map(({ alert, expr }): Located => [`alert ${alert}`, expr]),
    ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }): Located => [`panel ${title}`, plain(expr)])),
    ...annotations.list.flatMap(({ name, expr }): Located[] => (expr ? [[`annotation ${name}`, plain(expr)]] : [])),
    ...templating.list.flatMap(({ name, definition }): Located[] =>
      definition ? [[`variable ${name}`, plain(labelValues(definition))]] : [],
    ),
    ...readTriggers().map(({ name, query }): Located => [`trigger ${name}`, query]),
  ]
}

/** What Grafana sends to Prometheus: variables of its own filled in; ours stand in strings, where anything may. */
function plain(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m')
}

/** `label_values(metric, label)` is Grafana's; it comes to this. */
function labelValues(definition: string): string {
  const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
  return `group by (${label}) (${selector})`
}
