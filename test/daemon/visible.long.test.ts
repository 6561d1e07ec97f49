import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { RedisBrake } from '../../src/brake/redis-brake.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { openShop } from '../helpers/open-shop.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { UNSEEN } from '../unit/runtime/unseen.ts'

const FORGED = 'brake           released'
/** What somebody writes who wants to deceive the operator: PostgreSQL takes anything but NUL. */
const HOSTILE = `${UNSEEN.slice(1)}\u001b[2J\u202edesaeler\n${FORGED}\n`
const HOSTILE_ID = 'order-\u202e1\u200b'
/** What may be printed: no control but the line feed, nothing that has no look of its own. */
const SEEN = /^[\n\t\x20-\x7e–—…·█°→±×✓✗]*$/

/** A shop in which each text that others write is hostile. */
async function openHostileShop() {
  const table = await OrdersTable.create({ idType: 'text', statusType: 'text' })
  await table.migrate()
  const raw = new RawQueue()
  closing.push(
    () => table.drop(),
    () => raw.close(),
  )
  const deadline = Date.now() - 3_000
  await table.insert([
    { id: HOSTILE_ID, deadline },
    { id: `7${HOSTILE}`, deadline },
    { id: '8', status: HOSTILE, deadline },
  ])
  const failing = { orderId: HOSTILE_ID, deadline }
  const job = await raw.queue.add('check-payment', failing, { jobId: 'order-x', attempts: 1 })
  await raw.redis.lrem(`bull:${raw.name}:wait`, 0, 'order-x')
  await raw.redis.zadd(`bull:${raw.name}:failed`, Date.now(), 'order-x')
  await raw.redis.hset(`bull:${raw.name}:${job.id}`, { failedReason: HOSTILE, finishedOn: Date.now() })
  const queue = namedQueue({ name: raw.name, prefix: 'bull' })
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
  closing.push(() => connection.close())
  await new RedisBrake({ connection, queue }).engage('manual', HOSTILE, HOSTILE)
  await raw.redis.hset(queue.keys.brake, { by: HOSTILE })
  return { raw, env: { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env } }
}

test('commands print nothing that a terminal obeys or hides, and no line that somebody else has worded', async () => {
  const { env } = await openHostileShop()
  for (const line of [
    ['brake', 'status'],
    ['show', HOSTILE_ID],
    ['show', '8'],
    ['explain', HOSTILE_ID],
    ['explain', '8'],
    ['sweep', '--dry-run'],
    ['sweep'],
    ['replay', '--all', '--dry-run'],
    ['replay', '--all', '--code', HOSTILE],
    ['doctor'],
    ['forecast'],
    ['schedule', `a${HOSTILE}`],
    ['schedule', 'a', '--timeout', HOSTILE],
    [HOSTILE],
    ['show', 'a', `--${HOSTILE}`],
    ['brake', 'engage', '--by', HOSTILE, '--reason', HOSTILE],
  ]) {
    for (const args of [line, [...line, '--json']]) {
      const { stdout, stderr } = await runCli(args, { env })
      expect([args, stdout]).toEqual([args, expect.stringMatching(SEEN)])
      expect([args, stderr]).toEqual([args, expect.stringMatching(SEEN)])
      const forged = `${stdout}${stderr}`.split('\n').filter((printed) => printed.startsWith(FORGED))
      expect([args, forged]).toEqual([args, []])
      if (args.includes('--json') && stdout) JSON.parse(stdout)
    }
  }
}, 180_000)

test("the daemon's log lines neither", async () => {
  const { env, raw } = await openHostileShop()
  const daemon = new DaemonProcess({ ...env, LOG_LEVEL: 'debug' })
  closing.push(() => daemon.stop('SIGKILL'))
  let written = ''
  daemon.child.stdout?.on('data', (chunk) => {
    written += chunk
  })
  await daemon.until(({ msg }) => msg === 'ready')
  await raw.queue.add('check-payment', { orderId: HOSTILE_ID, deadline: 1 })
  await daemon.until(({ msg }) => msg.startsWith('the brake holds back'))
  await daemon.until(({ orderId }) => orderId === HOSTILE_ID)
  expect(written).toMatch(SEEN)
})

test('brake engage --reason --by: everybody is told', async () => {
  const { env } = await openShop()
  const engaged = await runCli(['brake', 'engage', '--reason', 'feed is down', '--by', 'ann', '--json'], { env })
  expect(JSON.parse(engaged.stdout)).toMatchObject({ brake: 'engaged', reason: 'feed is down', by: 'ann' })
  const status = await runCli(['brake', 'status'], { env })
  expect(status.stdout).toMatch(/^reason +feed is down\nby +ann$/m)
  const released = await runCli(['brake', 'release', '--by', 'bob', '--json'], { env })
  expect(JSON.parse(released.stdout)).toMatchObject({ brake: 'released', by: 'bob' })
})

test('nor do its readable lines, on a terminal', async () => {
  const module = pathToFileURL(resolve('dist/observe/log.js')).href
  const program = `
    const { createLogger } = await import(${JSON.stringify(module)})
    const logger = createLogger({ level: 'info', pretty: true, secrets: [], stdout: process.stdout })
    const text = ${JSON.stringify(HOSTILE)}
    logger.error({ by: text, [text]: 1, err: new Error(text) }, text)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  expect(stdout).toContain('ERROR')
  expect(stdout).toMatch(SEEN)
  expect(stdout.split('\n').filter((line) => line.startsWith(FORGED))).toEqual([])
})
