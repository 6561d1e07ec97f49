import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test } from '@jest/globals'

/** A lock file's own words on each package. */
interface Locked {
  engines?: { node?: string }
  deprecated?: string
  hasInstallScript?: boolean
}

const read = (path: string) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
const manifest = read('package.json') as { allowScripts: Record<string, boolean> }
const { packages } = read('package-lock.json') as { packages: Record<string, Locked> }
const entries = Object.entries(packages)
const { satisfies } = createRequire(import.meta.url)('semver') as {
  satisfies: (version: string, range: string) => boolean
}

test.each(['20.19.0', '22.13.0', '24.0.0'])('npm with engine-strict installs every package on Node %s', (version) => {
  const refused = entries.filter(([, { engines }]) => engines?.node && !satisfies(version, engines.node))
  expect(refused.map(([path, { engines }]) => `${path} wants Node ${engines?.node}`)).toEqual([])
})

test('no package is deprecated', () => {
  expect(entries.filter(([, { deprecated }]) => deprecated).map(([path]) => path)).toEqual([])
})

// npm from 11 on warns of each that package.json does not name. None of them has to run.
test('every package with an install script is named, and its script is not run', () => {
  const named = entries
    .filter(([, locked]) => locked.hasInstallScript)
    .map(([path]) => path.replace(/.*node_modules\//, ''))
  expect(Object.keys(manifest.allowScripts)).toEqual(expect.arrayContaining(named))
  expect(Object.values(manifest.allowScripts)).not.toContain(true)
})
