import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { CLI, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

test('the demo keeps every promise, says so in a table, and leaves nothing behind', async () => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const before = (await raw.redis.keys('*demo-*')).length
  const { code, stdout, stderr } = await runCli(['demo', '--orders', '200', '--seconds', '2'], {
    env: { REDIS_URL: redisUrl() },
  })
  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(stdout).toMatch(/placed 200/)
  expect(stdout).toMatch(/│ cancelled +│ +\d+ │/)
  expect(stdout).toMatch(/│ kept +│ +\d+ │/)
  expect(stdout).toMatch(/│ lateness p99 +│ +\d+ ms │/)
  expect(stdout).toMatch(/│ paid orders cancelled +│ +0 │/)
  expect(stdout).toContain('Every promise was kept.')
  expect(stdout).not.toContain('\r') // no terminal, no redrawing
  expect((await raw.redis.keys('*demo-*')).length).toBe(before)
})

test('without Redis it brings its own', async () => {
  const { code, stdout } = await runCli(['demo', '--orders', '20', '--seconds', '1'])
  expect(code).toBe(0)
  expect(stdout).toContain('Every promise was kept.')
})

test('interrupted, it leaves nothing behind either', async () => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const before = (await raw.redis.keys('*demo-*')).length
  const child = spawn(process.execPath, [CLI, 'demo', '--orders', '50', '--seconds', '30'], {
    env: { PATH: process.env.PATH ?? '', REDIS_URL: redisUrl() },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await once(child.stdout.setEncoding('utf8'), 'data')
  child.stdout.resume()
  child.kill('SIGINT')
  expect(await exited).toEqual([130, null])
  expect((await raw.redis.keys('*demo-*')).length).toBe(before)
})
