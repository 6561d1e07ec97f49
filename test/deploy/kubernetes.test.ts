import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import type { IService } from 'kubernetes-models/v1/Service'
import { parse } from 'yaml'
import { isLoopback, readConfig, SETTINGS } from '../../src/config.ts'
import {
  EXAMPLE,
  findDeployment,
  findManifest,
  findPods,
  type Manifest,
  RENDERINGS,
  render,
  renderFolder,
  renderOwn,
  testWithKubectl,
} from './manifests.ts'
import { schemaProblems } from './schemas.ts'

/** What somebody puts into the Secret. */
const SECRETS: Record<string, string> = {
  REDIS_URL: 'rediss://:secret@redis.shop.svc:6380',
  DATABASE_URL: 'postgres://shop:secret@postgres.shop.svc:5432/shop',
  BOARD_USERS: 'ops:secret-of-ops:viewer',
  METRICS_TOKEN: 'secret-of-prometheus',
}
/** From the end of SHUTDOWN_TIMEOUT to the kill, in seconds. */
const MARGIN_S = 10
const DASHBOARD = 'order-expiry-dashboard'
const MIGRATE = 'order-expiry-migrate'

const dataOf = (manifest: Manifest) => (manifest as unknown as { data: Record<string, string> }).data
const kindsOf = (name: string) => render(name).map(({ kind }) => kind)

describe('an overlay is the base with its component', () => {
  for (const component of ['keda', 'monitoring']) {
    testWithKubectl(component, () => {
      expect(renderFolder(`overlays/${component}`)).toEqual(render(`base and ${component}`))
    })
  }
})

describe('each rendering', () => {
  for (const name of RENDERINGS) {
    describe(name, () => {
      testWithKubectl('fits the schemas of Kubernetes and of the operators', () => {
        for (const manifest of render(name))
          expect([manifest.kind, schemaProblems(manifest)]).toEqual([manifest.kind, []])
      })

      testWithKubectl('refers only to what is in it, but for a Secret of the name of each pod', () => {
        const manifests = render(name)
        const { deployment } = findDeployment(manifests)
        expect(kindsOf(name)).not.toContain('Secret')
        const pods = findPods(manifests)
        for (const [owner, { spec: pod }] of pods) {
          findManifest(manifests, 'ServiceAccount', pod?.serviceAccountName)
          const { envFrom = [], env = [] } = pod?.containers[0] ?? {}
          for (const { configMapRef } of envFrom) findManifest(manifests, 'ConfigMap', configMapRef?.name)
          for (const { valueFrom } of env) expect(valueFrom?.secretKeyRef?.name).toBe(owner)
        }
        const selectors = manifests.flatMap((one) => selectorsOf(one).map((labels) => [one, labels] as const))
        expect(selectors.length).toBeGreaterThanOrEqual(4)
        for (const [{ kind, metadata }, labels] of selectors) {
          const found = pods.filter(([, { metadata: pod }]) => isSubset(labels, pod?.labels)).map(([owner]) => owner)
          const meant = metadata.name === MIGRATE ? MIGRATE : 'order-expiry'
          expect([kind, metadata.name, found]).toEqual([kind, metadata.name, [meant]])
        }
        for (const manifest of manifests) {
          expect(manifest.metadata.labels).toMatchObject({ 'app.kubernetes.io/name': 'order-expiry' })
          expect(manifest.metadata.namespace).toBe(deployment.metadata?.namespace)
        }
      })

      testWithKubectl('has settings with which the daemon starts, and is killed only after SHUTDOWN_TIMEOUT', () => {
        const { pod, container } = findDeployment(render(name))
        const config = readConfig({ env: environmentOf(name), dotenv: {} })
        expect(isLoopback(config.HTTP_HOST)).toBe(false)
        expect(container.ports).toEqual([{ name: 'http', containerPort: config.HTTP_PORT }])
        const preStopS = container.lifecycle?.preStop?.sleep?.seconds ?? 0
        const neededS = preStopS + config.SHUTDOWN_TIMEOUT / 1_000 + MARGIN_S
        expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(neededS)
      })
    })
  }
})

describe('the base', () => {
  testWithKubectl('runs two replicas, replaces them one by one, and spreads them', () => {
    const { spec, pod } = findDeployment(render('base'))
    expect(spec).toMatchObject({
      replicas: 2,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    })
    expect(pod.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey)).toEqual([
      'kubernetes.io/hostname',
      'topology.kubernetes.io/zone',
    ])
    expect(findManifest(render('base'), 'PodDisruptionBudget')).toMatchObject({ spec: { maxUnavailable: 1 } })
  })

  testWithKubectl('has no token, writes no file, and is never throttled', () => {
    const { pod, container } = findDeployment(render('base'))
    const account = findManifest(render('base'), 'ServiceAccount')
    expect([pod.automountServiceAccountToken, account.automountServiceAccountToken]).toEqual([false, false])
    expect(container.securityContext?.readOnlyRootFilesystem).toBe(true)
    expect(pod.volumes).toBeUndefined()
    expect(container.resources).toEqual({
      requests: { cpu: expect.any(String), memory: expect.any(String) },
      limits: { memory: expect.any(String) },
    })
  })

  testWithKubectl('probes liveness, which does not ask Redis, and readiness, which does', () => {
    const { startupProbe, livenessProbe, readinessProbe } = findDeployment(render('base')).container
    const paths = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet?.path)
    expect(paths).toEqual(['/livez', '/livez', '/readyz'])
  })

  testWithKubectl('takes every secret of the daemon from the Secret, and only REDIS_URL must be there', () => {
    const { container } = findDeployment(render('base'))
    const secrets = Object.entries(SETTINGS).flatMap(([name, setting]) => ('secret' in setting ? [name] : []))
    expect((container.env ?? []).map(({ name }) => name).sort()).toEqual(secrets.sort())
    for (const { name, valueFrom } of container.env ?? []) {
      const { key, optional = false } = valueFrom?.secretKeyRef ?? {}
      expect([name, key, optional]).toEqual([name, name, name !== 'REDIS_URL'])
    }
  })

  testWithKubectl('runs the image of this version, on the port of the Service', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(findDeployment(render('base')).container.image).toBe(`order-expiry:${version}`)
    const { spec } = findManifest(render('base'), 'Service') as unknown as IService
    expect(spec?.ports).toMatchObject([{ targetPort: 'http' }])
  })

  testWithKubectl('lets in callers alone, and out to names, Redis and PostgreSQL alone', () => {
    const { spec } = findManifest(render('base'), 'NetworkPolicy', 'order-expiry') as unknown as {
      spec: { policyTypes: string[]; ingress: Ports[]; egress: Ports[] }
    }
    expect(spec.policyTypes).toEqual(['Ingress', 'Egress'])
    expect(spec.ingress.map(portsOf)).toEqual([['http']])
    expect(spec.egress.map(portsOf)).toEqual([
      [53, 53],
      [6379, 6380],
      [5432, 6432],
    ])
  })
})

describe('the component', () => {
  testWithKubectl(
    'keda scales between two replicas and more, never to none, and leaves their number to nobody else',
    () => {
      for (const name of ['base and keda', 'base, keda and monitoring', EXAMPLE]) {
        const { spec } = findManifest(render(name), 'ScaledObject') as unknown as { spec: Record<string, unknown> }
        expect(spec).toMatchObject({ scaleTargetRef: { name: 'order-expiry' }, minReplicaCount: 2 })
        expect(spec.maxReplicaCount).toBeGreaterThan(2)
        expect(spec).not.toHaveProperty('idleReplicaCount')
        expect(findDeployment(render(name)).spec).not.toHaveProperty('replicas')
      }
    },
  )

  testWithKubectl('monitoring scrapes the port of the pods, and lets Prometheus in', () => {
    const { spec } = findManifest(render('base and monitoring'), 'PodMonitor') as unknown as {
      spec: { jobLabel: string; podMetricsEndpoints: { port: string; path: string }[] }
    }
    const authorization = { credentials: { name: 'order-expiry', key: 'METRICS_TOKEN' } }
    expect(spec.podMetricsEndpoints).toMatchObject([{ port: 'http', path: '/metrics', authorization }])
    // So that the job is called order-expiry, as the queries have it.
    expect(findDeployment(render('base and monitoring')).template.metadata?.labels?.[spec.jobLabel]).toBe(
      'order-expiry',
    )
    findManifest(render('base and monitoring'), 'NetworkPolicy', 'order-expiry-metrics')
  })

  testWithKubectl('monitoring has the rules and the dashboard that are in their own folders', () => {
    const rules = findManifest(render('base and monitoring'), 'PrometheusRule')
    expect(rules.spec).toEqual(parse(readFileSync('deploy/prometheus/rules.yaml', 'utf8')))
    const dashboard = findManifest(render('base and monitoring'), 'ConfigMap', DASHBOARD)
    expect(dataOf(dashboard)).toEqual({ 'order-expiry.json': readFileSync('deploy/grafana/dashboard.json', 'utf8') })
  })
})

testWithKubectl('the kustomization of docs/kubernetes.md, with the patch that it names, comes to what it says', () => {
  const blocks = [...readFileSync('docs/kubernetes.md', 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(
    ([, block]) => block,
  )
  expect(blocks).toHaveLength(2)
  const manifests = renderOwn(parse(blocks.join('')))
  expect(findDeployment(manifests).container.image).toBe('registry.example.com/shop/order-expiry:0.4.0')
  const settings = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name !== DASHBOARD)
  expect(settings?.data).toMatchObject({ HTTP_HOST: '0.0.0.0', ORDER_STORE: 'postgres' })
  const released = manifests.filter(({ metadata }) => metadata.labels?.release === 'kube-prometheus-stack')
  expect(released.map(({ kind }) => kind)).toEqual(['PodMonitor', 'PrometheusRule'])
})

test('the schemas catch a wrong value, a missing field and an unknown one', () => {
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { ports: [{ port: 80 }] } }
  expect(schemaProblems(service)).toEqual([])
  expect(schemaProblems({ ...service, spec: { ports: [{ port: '80' }] } })).toEqual([
    expect.stringContaining('/spec/ports/0/port'),
  ])
  expect(schemaProblems({ ...service, spec: { ports: [{ name: 'http' }] } })).toEqual([
    'data/spec/ports/0 must have required property port',
  ])
  expect(schemaProblems({ ...service, spec: { ports: [{ port: 80, targetport: 3000 }] }, specs: {} })).toEqual([
    'Service.spec.ports.0.targetport is unknown',
    'Service.specs is unknown',
  ])
  expect(schemaProblems({ ...service, kind: 'Sevrice' })).toEqual(['no schema for v1 Sevrice'])
})

testWithKubectl('a slip in the name of any field of ours is caught', () => {
  for (const manifest of render(EXAMPLE)) {
    const slips = withSlips(manifest, [])
    expect(slips.length).toBeGreaterThan(3)
    expect(slips.filter(([, slip]) => schemaProblems(slip).length === 0).map(([path]) => path)).toEqual([])
  }
})

interface Ports {
  ports: { port: string | number }[]
}

function portsOf({ ports }: Ports): (string | number)[] {
  return ports.map(({ port }) => port)
}

/** Where the keys are anybody's to choose. */
const FREE = /\.(data|labels|annotations|matchLabels|requests|limits|triggers\.\d+\.metadata|selector)$/

/** The manifest with one of its fields called otherwise, once for each of its fields. */
function withSlips(manifest: Manifest, path: readonly string[]): [path: string, slip: Manifest][] {
  const at = (root: Manifest) => path.reduce<unknown>((part, key) => (part as Record<string, unknown>)[key], root)
  const value = at(manifest)
  if (typeof value !== 'object' || value === null) return []
  const here = [manifest.kind, ...path].join('.')
  return Object.keys(value).flatMap((key) => {
    const below = withSlips(manifest, [...path, key])
    if (Array.isArray(value) || FREE.test(here)) return below
    if (['apiVersion', 'kind'].includes(key)) return below // which name the schema
    const slip = structuredClone(manifest)
    const part = at(slip) as Record<string, unknown>
    part[`${key}s`] = part[key]
    delete part[key]
    return [[`${here}.${key}`, slip], ...below]
  })
}

function isSubset(labels: Record<string, string> = {}, of: Record<string, string> = {}): boolean {
  return Object.entries(labels).every(([name, value]) => of[name] === value)
}

/** Labels by which a manifest finds pods of ours. */
function selectorsOf(manifest: Manifest): (Record<string, string> | undefined)[] {
  const { selector, podSelector } = (manifest.spec ?? {}) as Record<string, Record<string, never> | undefined>
  if (manifest.kind === 'Service') return [selector]
  const found = selector ?? podSelector
  return found ? [found.matchLabels] : []
}

/** What the container gets, with values for the Secret. */
function environmentOf(name: string): Record<string, string> {
  const { container } = findDeployment(render(name))
  const maps = (container.envFrom ?? []).map(({ configMapRef }) =>
    dataOf(findManifest(render(name), 'ConfigMap', configMapRef?.name)),
  )
  const secrets = (container.env ?? []).flatMap(({ name: variable }) => {
    const value = SECRETS[variable]
    return value === undefined ? [] : [[variable, value]]
  })
  return { NODE_ENV: 'production', ...Object.assign({}, ...maps), ...Object.fromEntries(secrets) }
}
