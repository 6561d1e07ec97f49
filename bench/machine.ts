import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, type as osType, release, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { postgresBinaries } from '../test/helpers/processes.ts'
import { SERVER_SETTINGS } from './servers.ts'

/** What the figures were measured on, by what is shown. */
type Machine = Record<string, string>

const RIVALS = ['bullmq', 'ioredis', 'pg', 'graphile-worker', 'pg-boss']
/** Measured as a shop would have them with ours: of the same version. */
const SAME_AS_OURS = ['bullmq', 'ioredis', 'pg']

/** @throws if a package that ours is built on is there in another version for the rivals */
export function describeMachine(): Machine {
  const cores = cpus()
  const bench = Object.fromEntries(RIVALS.map((name) => [name, versionOf(name, import.meta.url)]))
  for (const name of SAME_AS_OURS) {
    const own = versionOf(name, pathToFileURL(resolve('package.json')).href)
    if (own !== bench[name])
      throw new Error(`${name}: expected ${own}, as for ours, in bench/package.json; found ${bench[name]}`)
  }
  return {
    date: new Date().toISOString(),
    cpu: `${cores[0]?.model ?? 'unknown'}`,
    cores: `${cores.length}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    os: `${osName()} (${osType()} ${release()})`,
    node: process.versions.node,
    redis: execFileSync('redis-server', ['--version'], { encoding: 'utf8' }).match(/v=(\S+)/)?.[1] ?? 'unknown',
    postgres:
      execFileSync(join(postgresBinaries(), 'postgres'), ['--version'], { encoding: 'utf8' }).match(/\d+\.\d+/)?.[0] ??
      'unknown',
    'redis settings': SERVER_SETTINGS.redis,
    'postgres settings': SERVER_SETTINGS.postgres,
    'order-expiry': (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version,
    ...bench,
  }
}

function osName(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform
  } catch {
    return process.platform
  }
}

/** The version of a package as it is found from a file. */
function versionOf(name: string, from: string): string {
  for (const dir of createRequire(from).resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(join(dir, name, 'package.json'), 'utf8')) as { version: string }).version
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`expected ${name} to be installed: npm --prefix bench ci`)
}
