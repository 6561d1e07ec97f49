import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The release that this build is measured against. */
export const VERSION = '0.3.0'

/** Kept from run to run; nothing in it changes. */
const FOLDER = resolve(`bench/.build/release-${VERSION}`)
const SOURCES = ['src', 'tsconfig.json', 'tsconfig.build.json']
const MOST_BYTES = 100 * 1_024 * 1_024

/** The parts of the built release: its command line, and its library. */
export const RELEASE = { cli: join(FOLDER, 'dist/cli.js'), library: join(FOLDER, 'dist/index.js') }

/**
 * Afterwards the release is built, from the history of this repository, and runs with the packages that are installed for
 * this build.
 *
 * @returns why that is not possible here, or nothing
 */
export function buildRelease(): string | undefined {
  if (existsSync(FOLDER)) return undefined
  const unfinished = `${FOLDER}.unfinished`
  try {
    const commit = releaseCommit()
    if (!commit) return `no history that reaches back to ${VERSION}`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(unfinished, { recursive: true })
    const archive = git('archive', commit, ...SOURCES)
    execFileSync('tar', ['-x', '-C', unfinished], { input: archive })
    // Without the name, which this build has too: Jest wants each only once.
    writeFileSync(join(unfinished, 'package.json'), JSON.stringify({ version: VERSION, type: 'module' }))
    symlinkSync(resolve('node_modules'), join(unfinished, 'node_modules'))
    const tsc = resolve('node_modules/typescript/bin/tsc')
    execFileSync(process.execPath, [tsc, '-p', join(unfinished, 'tsconfig.build.json')], { stdio: 'pipe' })
    for (const path of SOURCES) rmSync(join(unfinished, path), { recursive: true })
    renameSync(unfinished, FOLDER)
    return undefined
  } catch (error) {
    return `building ${VERSION} failed: ${reasonOf(error)}`
  }
}

/** The commit that gave the package this version; in a shallow clone, the oldest commit would seem to be the one. */
function releaseCommit(): string | undefined {
  if (!existsSync('.git') || `${git('rev-parse', '--is-shallow-repository')}`.trim() === 'true') return undefined
  const commits = git('log', '--format=%H', `-S"version": "${VERSION}"`, '--', 'package.json')
  return `${commits}`.trim().split('\n').at(-1) || undefined
}

function git(...args: string[]): Buffer {
  return execFileSync('git', args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: MOST_BYTES })
}

/** The line of what the command said that tells of an error, or the first. */
function reasonOf(error: unknown): string {
  const { stdout, stderr, message } = error as Error & { stdout?: Buffer; stderr?: Buffer }
  const lines = `${stderr ?? ''}${stdout ?? ''}`.trim().split('\n')
  return lines.find((line) => /error/i.test(line)) || lines[0] || message
}
