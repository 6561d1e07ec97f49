import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from '@jest/globals'
import { KNOWN_ADD_DELAYED_JOB } from '../../src/queue/batch-addition.ts'
import { KNOWN_SCRIPTS } from '../../src/queue/worker/fingerprints.ts'
import { closing } from '../helpers/closing.ts'

const NAMES = Object.keys({ ...KNOWN_SCRIPTS, addDelayedJob: KNOWN_ADD_DELAYED_JOB })
const INSTALLED = 'node_modules/bullmq'

function fingerprints(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/fingerprints.mjs', ...args], {
    encoding: 'utf8',
  })
  const found = [...stdout.matchAll(/^(\w+) +([\da-f]{40}|missing) +(known|unknown)$/gm)]
  return { status, stdout, stderr, found: found.map(([, name, sha1, is]) => ({ name, sha1, is })) }
}

/** A copy of the installed BullMQ, with its dependencies, in which the file of a script is put through `change`. */
function copyOfBullMq(script: string, change: (file: string) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'order-expiry-bullmq-'))
  closing.push(() => rmSync(folder, { recursive: true, force: true }))
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  const copy = join(folder, 'bullmq')
  cpSync(INSTALLED, copy, { recursive: true })
  change(join(copy, 'dist/cjs/scripts', script))
  return copy
}

test('of the installed BullMQ, each script is known', () => {
  const { status, stdout, stderr, found } = fingerprints()
  expect([status, stderr]).toEqual([0, ''])
  expect(found).toEqual(NAMES.map((name) => ({ name, sha1: expect.any(String), is: 'known' })))
  expect(stdout).not.toContain('npm install')
})

test.each([
  ['moveToDelayed', 'moveToDelayed-11.js'],
  ['addDelayedJob', 'addDelayedJob-6.js'],
])('one that differs by a word is unknown, and it says what to do: %s', (name, script) => {
  const copy = copyOfBullMq(script, (file) => {
    const text = readFileSync(file, 'utf8')
    expect(text).toContain('"delayed"')
    writeFileSync(file, text.replace('"delayed"', '"postponed"'))
  })
  const { status, stdout, found } = fingerprints(copy)
  expect(status).toBe(1)
  expect(found.filter(({ is }) => is === 'unknown').map(({ name }) => name)).toEqual([name])
  expect(stdout).toContain(`what has changed in ${name},\n`)
  expect(stdout).toContain('src/queue/worker/fingerprints.ts, that of addDelayedJob to src/queue/batch-addition.ts')
  expect(stdout).toMatch(/\n\n {2}npm install --save-exact bullmq@\d.* npx jest claims .*additions\n/)
})

test('so is one that is there no more', () => {
  const copy = copyOfBullMq('extendLocks-1.js', (file) =>
    appendFileSync(file, "\nexports.extendLocks.name = 'other'\n"),
  )
  const { status, found } = fingerprints(copy)
  expect(status).toBe(1)
  expect(found.find(({ name }) => name === 'extendLocks')).toMatchObject({ sha1: 'missing', is: 'unknown' })
})
