import { describe, expect, test } from '@jest/globals'
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec'
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec'
import { findPods, RENDERINGS, render, testWithKubectl } from './manifests.ts'
import { RESTRICTED } from './pod-security.ts'

describe('the pods keep the restricted Pod Security Standard:', () => {
  for (const [name, problems] of Object.entries(RESTRICTED)) {
    testWithKubectl(name, () => {
      for (const rendering of RENDERINGS) {
        const found = findPods(render(rendering)).map(([owner, template]) => [owner, problems(template)])
        expect([rendering, found]).toEqual([rendering, found.map(([owner]) => [owner, []])])
      }
    })
  }
})

const good: IPodSpec = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [{ name: 'app', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
}
const [app] = good.containers as [IPodSpec['containers'][number]]
type ContainerPart = Partial<IPodSpec['containers'][number]>

const pod = (spec: Partial<IPodSpec>, annotations?: Record<string, string>): IPodTemplateSpec => ({
  ...(annotations && { metadata: { annotations } }),
  spec: { ...good, ...spec },
})
const withPodContext = (context: IPodSpec['securityContext']) =>
  pod({ securityContext: { ...good.securityContext, ...context } })
const withContainer = (part: ContainerPart) => pod({ containers: [{ ...app, ...part }] })
const withContext = (context: ContainerPart['securityContext']) =>
  withContainer({ securityContext: { ...app.securityContext, ...context } })
const withSecond = (context: ContainerPart['securityContext']) =>
  pod({ initContainers: [{ ...app, name: 'init', securityContext: { ...app.securityContext, ...context } }] })

/** Pods that break one rule each. */
const BROKEN: Record<keyof typeof RESTRICTED, IPodTemplateSpec[]> = {
  HostProcess: [
    withPodContext({ windowsOptions: { hostProcess: true } }),
    withContext({ windowsOptions: { hostProcess: true } }),
  ],
  'Host Namespaces': [pod({ hostNetwork: true }), pod({ hostPID: true }), pod({ hostIPC: true })],
  'Privileged Containers': [withContext({ privileged: true }), withSecond({ privileged: true })],
  Capabilities: [
    withContext({ capabilities: {} }),
    withContext({ capabilities: { drop: ['NET_RAW'] } }),
    withContext({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE', 'SYS_TIME'] } }),
  ],
  'HostPath Volumes': [pod({ volumes: [{ name: 'etc', hostPath: { path: '/etc' } }] })],
  'Host Ports': [withContainer({ ports: [{ containerPort: 3000, hostPort: 3000 }] })],
  'Host Probes / Lifecycle Hooks': [
    withContainer({ livenessProbe: { httpGet: { port: 80, host: '169.254.169.254' } } }),
    withContainer({ lifecycle: { preStop: { tcpSocket: { port: 80, host: '10.0.0.1' } } } }),
  ],
  AppArmor: [
    withContext({ appArmorProfile: { type: 'Unconfined' } }),
    pod({}, { 'container.apparmor.security.beta.kubernetes.io/app': 'unconfined' }),
  ],
  SELinux: [withPodContext({ seLinuxOptions: { type: 'spc_t' } }), withContext({ seLinuxOptions: { user: 'root' } })],
  '/proc Mount Type': [withContext({ procMount: 'Unmasked' })],
  Seccomp: [
    pod({ securityContext: { runAsNonRoot: true } }),
    withPodContext({ seccompProfile: { type: 'Unconfined' } }),
    withSecond({ seccompProfile: { type: 'Unconfined' } }),
  ],
  Sysctls: [withPodContext({ sysctls: [{ name: 'kernel.msgmax', value: '1' }] })],
  'Volume Types': [
    pod({ volumes: [{ name: 'share', nfs: { server: 'nfs', path: '/' } }] }),
    pod({ volumes: [{ name: 'etc', hostPath: { path: '/etc' } }] }),
  ],
  'Privilege Escalation': [
    withContext({ allowPrivilegeEscalation: true }),
    withContainer({ securityContext: { capabilities: { drop: ['ALL'] } } }),
  ],
  'Running as Non-root': [
    pod({ securityContext: { seccompProfile: { type: 'RuntimeDefault' } } }),
    withContext({ runAsNonRoot: false }),
  ],
  'Running as Non-root user': [withPodContext({ runAsUser: 0 }), withSecond({ runAsUser: 0 })],
}

describe('a pod that breaks a rule is caught:', () => {
  test('there is one for each rule', () => {
    expect(Object.keys(BROKEN)).toEqual(Object.keys(RESTRICTED))
  })

  test('a good one breaks none', () => {
    for (const problems of Object.values(RESTRICTED)) expect(problems(pod({}))).toEqual([])
  })

  test.each(Object.entries(BROKEN))('%s', (name, pods) => {
    for (const broken of pods) expect(RESTRICTED[name]?.(broken)).not.toEqual([])
  })
})
