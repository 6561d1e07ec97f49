import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { parse as parseEnv } from 'dotenv'
import type { IIngress } from 'kubernetes-models/networking.k8s.io/v1/Ingress'
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import type { IService } from 'kubernetes-models/v1/Service'
import { parse, parseAllDocuments } from 'yaml'
import { readConfig } from '../../src/config.ts'
import type { Manifest } from './manifests.ts'
import { schemaProblems } from './schemas.ts'

const page = readFileSync('docs/kubernetes.md', 'utf8')
const blockOf = (language: string) => new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(page)?.[1] ?? ''
const base = (path: string): unknown => parse(readFileSync(`deploy/kubernetes/base/${path}`, 'utf8'))

const manifests = parseAllDocuments(blockOf('yml')).map((document) => document.toJS() as Manifest)
const [ingress, policy] = manifests as unknown as [IIngress, INetworkPolicy]

test('the Ingress of docs/kubernetes.md fits its schema, and so does the policy that lets its controller in', () => {
  expect(manifests.map((manifest) => [manifest.kind, schemaProblems(manifest)])).toEqual([
    ['Ingress', []],
    ['NetworkPolicy', []],
  ])
})

test('it leads to the Service of the base, at the address of PUBLIC_URL', () => {
  const { metadata, spec: service } = base('service.yaml') as IService
  const [rule] = ingress.spec?.rules ?? []
  const [path, ...others] = rule?.http?.paths ?? []
  expect(others).toEqual([])
  expect(path?.backend.service).toEqual({ name: metadata?.name, port: { name: service?.ports?.[0]?.name } })
  const settings = parseEnv(blockOf('ini'))
  expect(settings.PUBLIC_URL).toBe(`https://${rule?.host}${path?.path}`)
  expect(() => readConfig({ env: settings, dotenv: {} })).not.toThrow()
  expect(ingress.spec?.tls?.[0]?.hosts).toEqual([rule?.host])
})

test('the policy is for the pods of the daemon, and for their port alone', () => {
  const { spec } = base('network-policy.yaml') as INetworkPolicy
  expect(policy.spec?.podSelector).toEqual(spec?.podSelector)
  expect(policy.spec?.ingress?.map(({ ports }) => ports)).toEqual([[{ protocol: 'TCP', port: 'http' }]])
  for (const { from } of policy.spec?.ingress ?? []) {
    for (const peer of from ?? []) expect(Object.keys(peer).sort()).toEqual(['namespaceSelector', 'podSelector'])
  }
})
