import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject'
import { PodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor'
import { PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { Service } from 'kubernetes-models/v1/Service'
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount'
import type { Manifest } from './manifests.ts'

/** A class whose `validate`, compiled from the schema in Kubernetes' OpenAPI or in a CRD, throws with all problems. */
interface Model {
  prototype: { validate(): void }
}

const MODELS: Readonly<Record<string, Model>> = {
  'v1 ConfigMap': ConfigMap,
  'v1 Service': Service,
  'v1 ServiceAccount': ServiceAccount,
  'apps/v1 Deployment': Deployment,
  'batch/v1 Job': Job,
  'policy/v1 PodDisruptionBudget': PodDisruptionBudget,
  'networking.k8s.io/v1 Ingress': Ingress,
  'networking.k8s.io/v1 NetworkPolicy': NetworkPolicy,
  'keda.sh/v1alpha1 ScaledObject': ScaledObject,
  'monitoring.coreos.com/v1 PodMonitor': PodMonitor,
  'monitoring.coreos.com/v1 PrometheusRule': PrometheusRule,
}

/**
 * What the API server would refuse or drop: what does not fit the schema of its kind, and fields that the schema does not
 * know.
 */
export function schemaProblems(manifest: Manifest): string[] {
  const kind = `${manifest.apiVersion} ${manifest.kind}`
  const model = MODELS[kind]
  if (!model) return [`no schema for ${kind}`]
  const reads = new Map<object, Set<string>>()
  const problems: string[] = []
  try {
    model.prototype.validate.call(watchReads(manifest, reads))
  } catch (error) {
    problems.push(String((error as Error).message))
  }
  return [...problems, ...unreadFields(manifest, reads, manifest.kind)]
}

/** The schemas let unknown fields pass, but a validator looks at each field that it knows: it is watched doing so. */
function watchReads<Value extends object>(value: Value, reads: Map<object, Set<string>>): Value {
  const read = new Set<string>()
  reads.set(value, read)
  const watched = new Map<string, unknown>()
  return new Proxy(value, {
    get(target, key, receiver) {
      const part: unknown = Reflect.get(target, key, receiver)
      if (typeof key !== 'string') return part
      read.add(key)
      if (typeof part !== 'object' || part === null) return part
      if (!watched.has(key)) watched.set(key, watchReads(part, reads))
      return watched.get(key)
    },
  })
}

function unreadFields(value: unknown, reads: Map<object, Set<string>>, path: string): string[] {
  if (typeof value !== 'object' || value === null) return []
  const read = reads.get(value)
  return Object.entries(value).flatMap(([key, part]) =>
    read?.has(key) ? unreadFields(part, reads, `${path}.${key}`) : [`${path}.${key} is unknown`],
  )
}
