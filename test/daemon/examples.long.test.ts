import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { DaemonProcess } from '../helpers/daemon.ts'
import { type Server, startRedis } from '../helpers/processes.ts'

/* The examples of the docs are run as they stand, beside a daemon. */

const run = promisify(execFile)
const MINUTE = 60_000
/** BullMQ for Python, of which the example is true. */
const PYTHON_BULLMQ = 'bullmq>=3,<4'
const PYTHON = process.env.PYTHON ?? 'python3'

let redis: Server & { url: string }
let daemon: DaemonProcess
let url: string
let dir: string
/** The names of the examples are fixed, so each test has a Redis of its own. */
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'order-expiry-examples-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function withDaemon(body: () => Promise<void>): Promise<void> {
  redis = await startRedis()
  try {
    daemon = await DaemonProcess.start({ REDIS_URL: redis.url })
    url = await daemon.url()
    await body().finally(() => daemon.stop())
  } finally {
    await redis.stop()
  }
}

function blocksOf(page: string, language: string): string[] {
  return [...readFileSync(page, 'utf8').matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  )
}

/** The example's order has a check in fifteen minutes. */
async function expectScheduled(): Promise<void> {
  const answer = await fetch(`${url}/v1/orders/1234`)
  const { check } = (await answer.json()) as { check?: { state: string; deadline: string } }
  expect(check?.state).toBe('waiting')
  expect(Math.abs(Date.parse(check?.deadline ?? '') - Date.now() - 15 * MINUTE)).toBeLessThan(MINUTE)
}

describe('docs/job-contract.md', () => {
  test('the example for Node schedules a check', () =>
    withDaemon(async () => {
      const [code = '', ...others] = blocksOf('docs/job-contract.md', 'js')
      expect(others).toEqual([])
      await run(process.execPath, ['--input-type=module', '--eval', code], {
        cwd: resolve('.'), // where bullmq is installed
        env: { PATH: process.env.PATH, REDIS_URL: redis.url },
      })
      await expectScheduled()
    }))

  /*
   * Where Python or its package cannot be had, the log says so, and only the example's syntax is checked. Whoever names a
   * Python in the variable PYTHON has it run.
   */
  test("the example for Python's BullMQ schedules a check, where that can be installed", async () => {
    const [code = '', ...others] = blocksOf('docs/job-contract.md', 'python')
    expect(others).toEqual([])
    const file = join(dir, 'example.py')
    writeFileSync(file, code)
    const missing = await installBullmq()
    if (missing !== undefined) {
      process.stderr.write(`NOT RUN: the Python example of docs/job-contract.md, because ${missing}\n`)
      expect([missing, process.env.PYTHON]).toEqual([
        expect.stringMatching(/^there is no|^bullmq cannot be/),
        undefined,
      ])
      if (missing.startsWith('bullmq')) await run(PYTHON, ['-m', 'py_compile', file])
      return
    }
    await withDaemon(async () => {
      await run(PYTHON, [file], { env: { ...process.env, PYTHONPATH: pythonPath(), REDIS_URL: redis.url } })
      await expectScheduled()
    })
  })
})

function pythonPath(): string {
  return [join(dir, 'python'), process.env.PYTHONPATH].filter(Boolean).join(':')
}

/** @returns why Python's BullMQ cannot be had; undefined: it is there */
async function installBullmq(): Promise<string | undefined> {
  const works = (args: string[]) =>
    run(PYTHON, args).then(
      () => true,
      () => false,
    )
  if (!(await works(['--version']))) return `there is no ${PYTHON}`
  if (await works(['-c', 'import bullmq'])) return undefined
  const pip = ['-m', 'pip', 'install', '--quiet', '--retries', '0', '--timeout', '10', '--target', join(dir, 'python')]
  return run(PYTHON, [...pip, PYTHON_BULLMQ], { timeout: 2 * MINUTE }).then(
    () => undefined,
    ({ stderr }: { stderr?: string }) => `bullmq cannot be installed here: ${stderr?.trim().split('\n').at(-1)}`,
  )
}

test("docs/http-api.md: the shell's examples are answered with success", () =>
  withDaemon(async () => {
    const examples = blocksOf('docs/http-api.md', 'sh').flatMap((text) => text.split(/\n(?=curl )/))
    expect(examples.length).toBeGreaterThanOrEqual(2)
    const soon = new Date(Date.now() + 30 * 86_400_000)
    for (const example of examples) {
      // At this daemon's address, and with dates that have not passed.
      const command = example
        .replace('http://127.0.0.1:3000', url)
        .replace(/\d{4}-\d\d-\d\d(?=T)/, soon.toISOString().slice(0, 10))
        .replace(/\b1\d{12}\b/, String(soon.getTime()))
      expect(command).not.toBe(example)
      const { stdout } = await run('sh', [
        '-c',
        command.replace('curl ', 'curl --silent --show-error --fail-with-body '),
      ])
      const answer = JSON.parse(stdout) as { result?: string; results?: { result?: string }[] }
      const results = (answer.results ?? [answer]).map(({ result }) => result)
      expect(new Set(results)).toEqual(new Set(['scheduled']))
    }
  }))
