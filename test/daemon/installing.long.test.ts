import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'

/* A fresh clone of this project, and what its README lets one type there first. */

jest.setTimeout(300_000)

let clone: string
beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), 'order-expiry-clone-'))
  const tracked = execFileSync('git', ['ls-files', '-z', 'src', 'scripts', '*.json'], { encoding: 'utf8' })
  for (const path of tracked.split('\0').filter(Boolean)) cpSync(path, join(clone, path))
})
afterAll(() => rmSync(clone, { recursive: true, force: true }))

function inClone(command: string, ...args: string[]): { code: number | null; output: string } {
  const { NODE_ENV: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: clone, env, encoding: 'utf8', timeout: 240_000 })
  return { code: status, output: stdout + stderr }
}

const WARNING = /npm warn|EBADENGINE|deprecated|install-scripts|vulnerabilit|\berror\b/i

test('npm ci says nothing of engines or old packages, and builds the commands', () => {
  const { code, output } = inClone('npm', 'ci', '--engine-strict', '--prefer-offline')
  expect(output).not.toMatch(WARNING)
  expect(code).toBe(0)
  expect(inClone('npx', 'order-expiry', '--help')).toMatchObject({
    code: 0,
    output: expect.stringContaining('migrate [options]'),
  })
})

test('npm ci without what development needs, as in an image, builds nothing and does not fail', () => {
  rmSync(join(clone, 'dist'), { recursive: true, force: true })
  const { code, output } = inClone('npm', 'ci', '--omit=dev', '--prefer-offline')
  expect(output).not.toMatch(WARNING)
  expect(code).toBe(0)
})
