#!/usr/bin/env node
// Builds the package `order-expiry`, which is what a shop installs, from the sources of the daemon, and packs it.
//
//   npm run library                     writes order-expiry-VERSION.tgz here, and prints what a shop gets that installs it
//   node scripts/library.mjs --build    only builds library/dist, as `npm pack ./library` does by itself
//
// To add a subpath: its index.ts in `files` of library/tsconfig.json, and its row in `exports` and `typesVersions` of
// library/package.json. The compiler writes that file and what it imports, nothing else.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const DIST = join(ROOT, 'library/dist')

const { values } = parseArgs({ options: { build: { type: 'boolean' } } })
build()
if (!values.build) tell(pack())

function build() {
  rmSync(DIST, { recursive: true, force: true })
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', join(ROOT, 'library')], {
    stdio: 'inherit',
  })
  for (const path of filesOf(DIST)) if (path.endsWith('.d.ts')) nameBuiltFiles(path)
}

/** The compiler leaves the names of sources in declarations, which TypeScript before 5 cannot resolve. */
function nameBuiltFiles(path) {
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(/((?:from |import\()'\.[^']*)\.ts'/g, "$1.js'"))
}

/** @returns the name of the packed file */
function pack() {
  const packed = npm(['pack', './library', '--ignore-scripts', '--json'], ROOT)
  return JSON.parse(packed)[0].filename
}

/** Installs it into an empty folder, and prints what that brings. */
function tell(filename) {
  const shop = mkdtempSync(join(tmpdir(), 'order-expiry-shop-'))
  try {
    npm(['install', '--no-audit', '--no-fund', join(ROOT, filename)], shop)
    const modules = join(shop, 'node_modules')
    const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'))
    const bytes = filesOf(modules).reduce((sum, path) => sum + statSync(path).size, 0)
    console.log(`${filename}: ${Object.keys(packages).length} packages, ${(bytes / 1e6).toFixed(1)} MB installed`)
  } finally {
    rmSync(shop, { recursive: true })
  }
}

function npm(args, cwd) {
  return execFileSync('npm', [...args, '--loglevel', 'error'], { cwd, encoding: 'utf8', timeout: 300_000 })
}

function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
}
