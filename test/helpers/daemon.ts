import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

export const CLI = resolve('dist/cli.js')

/** FAULTS_CLI: another build, for the mutations of the fault suite. */
export function cli(): string {
  return process.env.FAULTS_CLI ?? CLI
}

export interface LogLine {
  level: string
  msg: string
  [field: string]: unknown
}

/** Only what a command needs of our own environment, so that no setting leaks in. */
function cleanEnv(env: Record<string, string>): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env }
}

/** Runs one command of the built CLI to its end, in an empty folder unless one is given. */
export async function runCli(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; cli?: string } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const cwd = options.cwd ?? mkdtempSync(join(tmpdir(), 'order-expiry-cli-'))
  const child = spawn(process.execPath, [options.cli ?? cli(), ...args], { cwd, env: cleanEnv(options.env ?? {}) })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  if (!options.cwd) rmSync(cwd, { recursive: true, force: true })
  return { code, stdout, stderr }
}

function parse(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine
  } catch {
    return undefined
  }
}

/** The built daemon as a process of its own. */
export class DaemonProcess {
  readonly child: ChildProcess
  readonly logs: LogLine[] = []
  /** Lines on either stream that are no JSON; on standard output only where they are let pass. */
  readonly stray: string[] = []
  stderr = ''
  readonly #exited: Promise<number | null>
  #listeners: (() => void)[] = []

  /** @param options.cli of another build; @param options.letsStrayPass a line on standard output that is no JSON is kept in `stray`, and not thrown */
  constructor(env: Record<string, string>, options: { cwd?: string; cli?: string; letsStrayPass?: boolean } = {}) {
    const cwd = options.cwd ?? mkdtempSync(join(tmpdir(), 'order-expiry-daemon-'))
    const ofNode = ['--max-old-space-size=256', '--heap-growing-percent=100'] // as `npm start` and the image
    this.child = spawn(process.execPath, [...ofNode, options.cli ?? cli(), 'start'], {
      cwd,
      env: cleanEnv({ HTTP_PORT: '0', ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#exited = once(this.child, 'close').then(([code, signal]) => {
      if (!options.cwd) rmSync(cwd, { recursive: true, force: true })
      for (const listener of this.#listeners) listener()
      return signal ? null : (code as number | null)
    })
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const parsed = parse(line)
      if (parsed) this.logs.push(parsed)
      else if (options.letsStrayPass) this.stray.push(line)
      else throw new Error(`expected a line of JSON: ${line}`)
      for (const listener of this.#listeners) listener()
    })
    createInterface({ input: this.child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      const parsed = parse(line)
      if (parsed) this.logs.push(parsed)
      else this.stray.push(line)
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
  }

  /** A daemon that is ready. */
  static async start(env: Record<string, string>, options: { cwd?: string } = {}): Promise<DaemonProcess> {
    const daemon = new DaemonProcess(env, options)
    try {
      await daemon.until((line) => line.msg === 'ready')
      return daemon
    } catch (error) {
      await daemon.stop('SIGKILL')
      throw error
    }
  }

  /** Resolves with the first log line, past or future, that matches. */
  async until(matches: (line: LogLine) => boolean, withinMs = 30_000): Promise<LogLine> {
    const endsAt = Date.now() + withinMs
    for (;;) {
      const found = this.logs.find(matches)
      if (found) return found
      if (this.hasExited || Date.now() > endsAt) {
        throw new Error(
          `no such log line; exit code ${this.child.exitCode}\n${this.stderr}\n${this.logs
            .map((l) => JSON.stringify(l))
            .slice(-20)
            .join('\n')}`,
        )
      }
      await new Promise<void>((next) => {
        const timer = setTimeout(next, 500)
        this.#listeners = [
          () => {
            clearTimeout(timer)
            next()
          },
        ]
      })
    }
  }

  get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Where it listens. */
  async url(): Promise<string> {
    return String((await this.until((line) => line.service === 'http' && line.msg === 'http started')).detail)
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** The exit code once it has ended, null if a signal ended it. */
  get exited(): Promise<number | null> {
    return this.#exited
  }

  /** Sends the signal and waits for the end. @returns the exit code, null if a signal ended it */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.hasExited) this.child.kill(signal)
    return this.#exited
  }
}
