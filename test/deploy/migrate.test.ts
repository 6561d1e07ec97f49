import { describe, expect } from '@jest/globals'
import type { IJob } from 'kubernetes-models/batch/v1/Job'
import { EXAMPLE, findDeployment, findManifest, findPods, type Manifest, render, testWithKubectl } from './manifests.ts'

const JOB = 'order-expiry-migrate'

describe('the Job that migrates', () => {
  for (const name of ['base and migrate', EXAMPLE]) {
    describe(name, () => {
      testWithKubectl('runs the image and the settings of the daemon, with the role of the owner alone', () => {
        const { container: daemon } = findDeployment(render(name))
        const { container } = findJob(render(name))
        expect([container.image, container.envFrom]).toEqual([daemon.image, daemon.envFrom])
        expect(container.args).toEqual(['migrate', '--index'])
        const secretKeyRef = { name: JOB, key: 'DATABASE_URL' }
        expect(container.env).toEqual([{ name: 'DATABASE_URL', valueFrom: { secretKeyRef } }])
      })

      testWithKubectl('ends: tried a few times, gone some minutes later', () => {
        const { spec } = findJob(render(name)).job
        expect(spec?.backoffLimit).toBeGreaterThan(0)
        expect(spec?.ttlSecondsAfterFinished).toBeGreaterThanOrEqual(60)
        expect(spec?.ttlSecondsAfterFinished).toBeLessThanOrEqual(3_600)
        expect(spec?.template.spec?.restartPolicy).toBe('Never')
      })

      testWithKubectl('has no more rights than the daemon: no token, no file, no port, a bound of memory', () => {
        const daemon = findDeployment(render(name))
        const { pod, container } = findJob(render(name))
        expect(pod.automountServiceAccountToken).toBe(false)
        expect(pod.enableServiceLinks).toBe(false)
        expect([pod.securityContext, pod.volumes, container.ports]).toEqual([
          daemon.pod.securityContext,
          undefined,
          undefined,
        ])
        expect(container.securityContext).toEqual(daemon.container.securityContext)
        expect(container.resources?.limits).toEqual({ memory: expect.any(String) })
      })

      testWithKubectl('reaches names and PostgreSQL, where the daemon reaches them, and is reached by nobody', () => {
        const [ours, daemons] = [JOB, 'order-expiry'].map((policy) => policyOf(render(name), policy))
        expect(ours?.policyTypes).toEqual(['Ingress', 'Egress'])
        expect(ours?.ingress).toBeUndefined()
        expect(ours?.egress).toEqual([daemons?.egress[0], daemons?.egress[2]])
      })
    })
  }

  testWithKubectl('gives no pod of its own to what is meant for the daemon', () => {
    const names = findPods(render(EXAMPLE)).map(([, { metadata }]) => metadata?.labels?.['app.kubernetes.io/name'])
    expect(names.sort()).toEqual(['order-expiry', JOB])
  })

  testWithKubectl('can be applied before the daemon, by the label that docs/upgrading.md names', () => {
    const daemons = render(EXAMPLE).filter(
      ({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'daemon',
    )
    expect(daemons.map(({ kind }) => kind)).toEqual(['Deployment'])
  })
})

function findJob(manifests: readonly Manifest[]) {
  const job = findManifest(manifests, 'Job', JOB) as unknown as IJob
  const pod = job.spec?.template.spec
  const [container] = pod?.containers ?? []
  if (!pod || !container) throw new Error('expected a Job with a container')
  return { job, pod, container }
}

function policyOf(manifests: readonly Manifest[], name: string) {
  const { spec } = findManifest(manifests, 'NetworkPolicy', name)
  return spec as { policyTypes: string[]; ingress?: unknown[]; egress: unknown[] }
}
