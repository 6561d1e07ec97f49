import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { afterAll, test } from '@jest/globals'
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment'
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec'
import { parseAllDocuments, stringify } from 'yaml'

/** A Kubernetes object as it is written, before anything is known of its kind. */
export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  [field: string]: unknown
}

interface Kustomization {
  resources: string[]
  components: string[]
  [field: string]: unknown
}

const KUBERNETES = resolve('deploy/kubernetes')

/** What somebody may put together: the base, and any of the components with it. */
const COMBINATIONS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  'base and keda': ['keda'],
  'base and monitoring': ['monitoring'],
  'base, keda and monitoring': ['keda', 'monitoring'],
  'base and migrate': ['migrate'],
}
export const EXAMPLE = 'the example'
/** All that is rendered by these tests. */
export const RENDERINGS: readonly string[] = [...Object.keys(COMBINATIONS), EXAMPLE]

/** Why nothing can be rendered here. Known as soon as a file of tests is loaded, because the names of tests say it. */
const missing = spawnSync('kubectl', ['kustomize', '--help']).status === 0 ? undefined : 'there is no kubectl here'

/** A test, which is skipped and says so in its name where there is no kubectl. */
export function testWithKubectl(name: string, run: () => void | Promise<void>): void {
  if (missing) test.skip(`${name} (skipped: ${missing})`, run)
  else test(name, run)
}

const rendered = new Map<string, readonly Manifest[]>()

/** @param name one of {@link RENDERINGS} */
export function render(name: string): readonly Manifest[] {
  const known = rendered.get(name) ?? (name === EXAMPLE ? renderFolder('example') : combine(name))
  rendered.set(name, known)
  return known
}

/** What a folder of deploy/kubernetes comes to. */
export function renderFolder(path: string): readonly Manifest[] {
  return kustomize(join(KUBERNETES, path))
}

/** What a kustomization of somebody's own comes to; its paths are written as from a folder beside the base. */
export function renderOwn(kustomization: Kustomization): readonly Manifest[] {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'order-expiry-kustomize-')))
  directories.push(directory)
  const fromThere = (path: string) => relative(directory, join(KUBERNETES, 'own', path))
  const resources = kustomization.resources.map(fromThere)
  const components = kustomization.components.map(fromThere)
  writeFileSync(join(directory, 'kustomization.yaml'), stringify({ ...kustomization, resources, components }))
  return kustomize(directory)
}

/** The one object of a kind, by its name where there are several. */
export function findManifest(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter((one) => one.kind === kind && (name === undefined || one.metadata.name === name))
  if (found.length !== 1) throw new Error(`expected one ${kind} ${name ?? ''}, found ${found.length}`)
  return found[0] as Manifest
}

/** @throws where it has no pod template, as a Deployment must have */
export function findDeployment(manifests: readonly Manifest[]) {
  const deployment = findManifest(manifests, 'Deployment') as unknown as IDeployment
  const template = deployment.spec?.template
  const [container] = template?.spec?.containers ?? []
  if (!deployment.spec || !template?.spec || !container) throw new Error('expected a Deployment with a container')
  return { deployment, spec: deployment.spec, template, pod: template.spec, container }
}

/** The templates of all pods, by the name of what makes them. */
export function findPods(manifests: readonly Manifest[]): [name: string, template: IPodTemplateSpec][] {
  return manifests.flatMap(({ metadata, spec }): [string, IPodTemplateSpec][] => {
    const { template } = (spec ?? {}) as { template?: IPodTemplateSpec }
    return template ? [[metadata.name, template]] : []
  })
}

const directories: string[] = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true })
})

function combine(name: string): readonly Manifest[] {
  return renderOwn({
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: ['../base'],
    components: (COMBINATIONS[name] ?? []).map((component) => `../components/${component}`),
  })
}

function kustomize(directory: string): readonly Manifest[] {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', directory], { encoding: 'utf8' })
  // It has warnings, too, such as for a field that will go.
  if (status !== 0 || stderr !== '') throw new Error(`kubectl kustomize ${directory}: ${stderr}`)
  return parseAllDocuments(stdout).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]
    return document.toJS() as Manifest
  })
}
