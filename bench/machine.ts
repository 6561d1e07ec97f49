import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, type as osType, release, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { postgresBinaries } from '../test/helpers/processes.ts'
import { SERVER_SETTINGS } from './servers.ts'

/** What the figures were measured on, by what is shown. */
type Machine = Record<string, string>

const RIVALS = ['bullmq', 'ioredis', 'pg', 'graphile-worker', 'pg-boss']
/** Measured as a shop would have them with ours: of the same version. */
const SAME_AS_OURS = ['bullmq', 'ioredis', 'pg']

const REST_MS = 700
const RESTS = 9

/** @throws if a package that ours is built on is there in another version for the rivals */
export async function describeMachine(): Promise<Machine> {
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
    [`timers after ${REST_MS / 1_000} s of rest`]: await lateTimers(),
    'redis settings': SERVER_SETTINGS.redis,
    'postgres settings': SERVER_SETTINGS.postgres,
    'order-expiry': (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version,
    ...bench,
  }
}

/** How late timers are where nothing else runs: a virtual machine that rests may wake late, and no contender before it. */
async function lateTimers(): Promise<string> {
  const late: number[] = []
  for (let n = 0; n < RESTS; n++) {
    const startedAt = performance.now()
    await sleep(REST_MS)
    late.push(performance.now() - startedAt - REST_MS)
  }
  late.sort((a, b) => a - b)
  const [least, middle, most] = [0, (RESTS - 1) / 2, RESTS - 1].map((n) => late[n]?.toFixed(1))
  return `${middle} ms late, ${least} to ${most} ms`
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
