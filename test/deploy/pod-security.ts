import type { IContainer } from 'kubernetes-models/v1/Container'
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec'

type Container = Partial<IContainer>
type SecurityContext = NonNullable<IContainer['securityContext']>

/** What of a pod breaks the rule, as paths; empty if nothing does. */
type Rule = (pod: IPodTemplateSpec) => string[]

const SAFE_SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
]
const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']
const VOLUME_TYPES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]
const APPARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'

/**
 * The restricted profile of the Pod Security Standards, with what it takes over from the baseline, rule by rule and under
 * their names: https://kubernetes.io/docs/concepts/security/pod-security-standards/. Where both have a rule of the same
 * name, this is the restricted one.
 */
export const RESTRICTED: Readonly<Record<string, Rule>> = {
  HostProcess: (pod) =>
    contexts(pod).flatMap(([path, { windowsOptions }]) =>
      windowsOptions?.hostProcess ? [`${path}.windowsOptions.hostProcess`] : [],
    ),

  'Host Namespaces': ({ spec }) =>
    (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec?.[field]).map((field) => `spec.${field}`),

  'Privileged Containers': (pod) => containerContexts(pod, ({ privileged }) => privileged === true, 'privileged'),

  Capabilities: (pod) =>
    containers(pod).flatMap(([path, { securityContext }]) => {
      const { drop = [], add = [] } = securityContext?.capabilities ?? {}
      return [
        ...(drop.includes('ALL') ? [] : [`${path}.capabilities.drop`]),
        ...add.filter((name) => name !== 'NET_BIND_SERVICE').map((name) => `${path}.capabilities.add ${name}`),
      ]
    }),

  'HostPath Volumes': ({ spec }) =>
    (spec?.volumes ?? []).filter(({ hostPath }) => hostPath).map(({ name }) => `volume ${name}`),

  'Host Ports': (pod) =>
    containers(pod).flatMap(([path, { ports = [] }]) =>
      ports.filter(({ hostPort }) => hostPort).map(({ hostPort }) => `${path}.ports.hostPort ${hostPort}`),
    ),

  'Host Probes / Lifecycle Hooks': (pod) =>
    containers(pod).flatMap(([path, { livenessProbe, readinessProbe, startupProbe, lifecycle }]) =>
      Object.entries({
        livenessProbe,
        readinessProbe,
        startupProbe,
        postStart: lifecycle?.postStart,
        preStop: lifecycle?.preStop,
      })
        .filter(([, handler]) => handler?.httpGet?.host || handler?.tcpSocket?.host)
        .map(([name]) => `${path}.${name}`),
    ),

  AppArmor: (pod) => [
    ...contexts(pod).flatMap(([path, { appArmorProfile }]) =>
      appArmorProfile && !['RuntimeDefault', 'Localhost'].includes(appArmorProfile.type)
        ? [`${path}.appArmorProfile`]
        : [],
    ),
    ...Object.entries(pod.metadata?.annotations ?? {})
      .filter(
        ([name, value]) => name.startsWith(APPARMOR_ANNOTATION) && !/^(runtime\/default|localhost\/.*)$/.test(value),
      )
      .map(([name]) => `annotation ${name}`),
  ],

  SELinux: (pod) =>
    contexts(pod).flatMap(([path, { seLinuxOptions: { type = '', user, role } = {} }]) =>
      SELINUX_TYPES.includes(type) && !user && !role ? [] : [`${path}.seLinuxOptions`],
    ),

  '/proc Mount Type': (pod) =>
    containerContexts(pod, ({ procMount = 'Default' }) => procMount !== 'Default', 'procMount'),

  Seccomp: (pod) => {
    const isSafe = (context: SecurityContext | undefined) =>
      ['RuntimeDefault', 'Localhost'].includes(context?.seccompProfile?.type ?? '')
    const ofPod = pod.spec?.securityContext
    return [
      ...(ofPod?.seccompProfile && !isSafe(ofPod) ? ['spec.securityContext.seccompProfile'] : []),
      ...containers(pod)
        .filter(([, { securityContext: own }]) => !isSafe(own?.seccompProfile ? own : ofPod))
        .map(([path]) => `${path}.seccompProfile`),
    ]
  },

  Sysctls: ({ spec }) =>
    (spec?.securityContext?.sysctls ?? []).filter(({ name }) => !SAFE_SYSCTLS.includes(name)).map(({ name }) => name),

  'Volume Types': ({ spec }) =>
    (spec?.volumes ?? []).flatMap(({ name, ...sources }) =>
      Object.keys(sources)
        .filter((type) => !VOLUME_TYPES.includes(type))
        .map((type) => `volume ${name}: ${type}`),
    ),

  'Privilege Escalation': (pod) =>
    containerContexts(pod, (context) => context.allowPrivilegeEscalation !== false, 'allowPrivilegeEscalation'),

  'Running as Non-root': (pod) => {
    const ofPod = pod.spec?.securityContext?.runAsNonRoot
    return containerContexts(pod, ({ runAsNonRoot = ofPod }) => runAsNonRoot !== true, 'runAsNonRoot')
  },

  'Running as Non-root user': (pod) =>
    contexts(pod)
      .filter(([, { runAsUser }]) => runAsUser === 0)
      .map(([path]) => `${path}.runAsUser`),
}

function containers({ spec }: IPodTemplateSpec): [path: string, container: Container][] {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {}
  return [...containers, ...initContainers, ...ephemeralContainers].map((container) => [
    `container ${container.name}`,
    container as Container,
  ])
}

/** Those of the pod and of all its containers. */
function contexts(pod: IPodTemplateSpec): [path: string, context: SecurityContext][] {
  return [
    ['pod', (pod.spec?.securityContext ?? {}) as SecurityContext],
    ...containers(pod).map(([path, { securityContext = {} }]): [string, SecurityContext] => [path, securityContext]),
  ]
}

/** Containers whose context breaks a rule; one that has none is looked at as an empty one. */
function containerContexts(
  pod: IPodTemplateSpec,
  breaks: (context: SecurityContext) => boolean,
  field: string,
): string[] {
  return containers(pod)
    .filter(([, { securityContext = {} }]) => breaks(securityContext))
    .map(([path]) => `${path}.${field}`)
}
