import { describe, expect } from '@jest/globals'
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec'
import { SETTINGS } from '../../src/config.ts'
import { findManifest, findPods, type Manifest, renderOwn, testWithKubectl } from './manifests.ts'
import { schemaProblems } from './schemas.ts'

const COMPONENTS = ['../components/redis-tls', '../components/database-tls']

describe('a private CA', () => {
  for (const { component, setting, pods } of [
    { component: 'redis-tls', setting: 'REDIS_TLS_CA_FILE', pods: ['order-expiry'] },
    { component: 'database-tls', setting: 'DATABASE_TLS_CA_FILE', pods: ['order-expiry', 'order-expiry-migrate'] },
  ]) {
    testWithKubectl(
      `is mounted by components/${component} where its setting looks for it, with and without migrate`,
      () => {
        expect(Object.keys(SETTINGS)).toContain(setting)
        for (const components of [COMPONENTS, ['../components/migrate', ...COMPONENTS]]) {
          const manifests = renderOwn({ resources: ['../base'], components })
          for (const manifest of manifests) expect(schemaProblems(manifest)).toEqual([])
          const found = findPods(manifests)
          const trusting = found.filter(([, { spec }]) => mountsCa({ manifests, spec, component, setting }))
          const meant = pods.filter((name) => found.some(([owner]) => owner === name))
          expect(trusting.map(([owner]) => owner).sort()).toEqual(meant)
        }
      },
    )
  }
})

function mountsCa(options: {
  manifests: readonly Manifest[]
  spec: IPodTemplateSpec['spec']
  component: string
  setting: string
}): boolean {
  const { manifests, spec, component, setting } = options
  const [container] = spec?.containers ?? []
  const settings = findManifest(manifests, 'ConfigMap', container?.envFrom?.[0]?.configMapRef?.name)
  const path = (settings.data as Record<string, string>)[setting]
  const mount = container?.volumeMounts?.find(({ mountPath }) => path === `${mountPath}/ca.crt`)
  const volume = spec?.volumes?.find(({ name }) => name === mount?.name)
  return mount?.readOnly === true && volume?.secret?.secretName === `order-expiry-${component}`
}
