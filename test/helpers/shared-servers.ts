import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Program, postgresProgram } from './processes.ts'

/** How long a server may take to serve, and to end. */
const PATIENCE_MS = 60_000
const POLL_MS = 20

/** What whoever starts a server writes down for the others. */
type Started = { url: string; pid: number; pidFile: string; dir: string } | { error: string }

const PROGRAMS: Record<'redis' | 'postgres', (dir: string, port: number) => SharedProgram> = { redis, postgres }

interface SharedProgram extends Program {
  /** It is gone once the server has ended. */
  pidFile: string
  isServing: () => boolean
}

type Name = keyof typeof PROGRAMS

/** Begins a run: a folder that all its processes know takes down which servers have been started. */
export function allowSharedServers(): void {
  process.env.TEST_SERVERS ??= mkdtempSync(join(tmpdir(), 'order-expiry-servers-'))
}

/**
 * The URL of a server that all test files of a run share. The first to ask starts it and the others wait, so that a run
 * starts only what its tests use. It is synchronous because tests ask for a URL in the middle of an expression.
 */
export function sharedServer(name: Name): string {
  const runDir = process.env.TEST_SERVERS
  if (!runDir) throw new Error(`${name} is not available here: only tests of the projects servers and timed may use it`)
  const record = join(runDir, `${name}.json`)
  if (isFirst(join(runDir, name))) {
    writeFileSync(`${record}.new`, JSON.stringify(start(name)))
    renameSync(`${record}.new`, record)
  }
  waitUntil(`another test file starts ${name}`, () => existsSync(record))
  const started = readStarted(record)
  if ('error' in started) throw new Error(started.error)
  return started.url
}

/** Ends the run: every shared server has ended, and its data is removed. */
export async function stopSharedServers(): Promise<void> {
  const runDir = process.env.TEST_SERVERS
  if (!runDir) return
  delete process.env.TEST_SERVERS
  const records = readdirSync(runDir).filter((name) => name.endsWith('.json'))
  const running = records.map((name) => readStarted(join(runDir, name))).filter((started) => 'pid' in started)
  for (const { pid } of running) process.kill(pid, 'SIGINT') // for PostgreSQL a fast shutdown
  for (const { pidFile, dir } of running) {
    for (let waitedMs = 0; existsSync(pidFile) && waitedMs < PATIENCE_MS; waitedMs += POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  }
  rmSync(runDir, { recursive: true, force: true })
}

function readStarted(record: string): Started {
  return JSON.parse(readFileSync(record, 'utf8')) as Started
}

function isFirst(lock: string): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch {
    return false
  }
}

function start(name: Name): Started {
  try {
    const dir = mkdtempSync(join(tmpdir(), `order-expiry-${name}-`))
    const { url, command, args, options, pidFile, isServing } = PROGRAMS[name](dir, freePort())
    const child = spawn(command, args, { ...options, cwd: dir, stdio: 'ignore' })
    child.on('error', () => {}) // it does not serve, then
    child.unref() // it outlives the test file that has asked for it first
    waitUntil(`${name} serves`, isServing)
    return { url, pid: child.pid as number, pidFile, dir }
  } catch (error) {
    return { error: `${name} could not be started: ${(error as Error).stack}` }
  }
}

/** A real Redis, on loopback, untuned but for where its data is. */
function redis(dir: string, port: number): SharedProgram {
  const [pidFile, logFile] = [join(dir, 'redis.pid'), join(dir, 'redis.log')]
  const where = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--pidfile', pidFile, '--logfile', logFile]
  return {
    url: `redis://127.0.0.1:${port}`,
    command: 'redis-server',
    args: [...where, '--save', '', '--appendonly', 'no'],
    options: {},
    pidFile,
    isServing: () => contains(logFile, 'Ready to accept connections'),
  }
}

function postgres(dir: string, port: number): SharedProgram {
  const pidFile = join(dir, 'data/postmaster.pid')
  return { ...postgresProgram(dir, port), pidFile, isServing: () => contains(pidFile, 'ready') }
}

function contains(file: string, text: string): boolean {
  return existsSync(file) && readFileSync(file, 'utf8').includes(text)
}

/** A port that is free now. */
function freePort(): number {
  const print = `const s = require('node:net').createServer().listen(0, '127.0.0.1', () => {
    process.stdout.write(String(s.address().port))
    s.close()
  })`
  return Number(execFileSync(process.execPath, ['-e', print], { encoding: 'utf8', env: {} }))
}

/** Holds up this process until then. */
function waitUntil(what: string, isSo: () => boolean): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let waitedMs = 0; !isSo(); waitedMs += POLL_MS) {
    if (waitedMs > PATIENCE_MS) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`)
    Atomics.wait(pause, 0, 0, POLL_MS)
  }
}
