import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'

function openFolder(): string {
  const cwd = mkdtempSync(join(tmpdir(), 'order-expiry-home-'))
  closing.push(() => rmSync(cwd, { recursive: true, force: true }))
  return cwd
}

async function launch(cwd: string): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start({}, { cwd })
  closing.push(async () => daemon.hasExited || (await daemon.stop()))
  return daemon
}

const socketOf = (cwd: string) => join(cwd, '.data', 'redis.sock')
const detail = (daemon: DaemonProcess) =>
  daemon.until(({ service }) => service === 'embedded-redis').then((line) => line.detail)
const show = async (cwd: string, id: string) => JSON.parse((await runCli(['show', id, '--json'], { cwd })).stdout)

test('an order placed by one command is cancelled by the daemon; a paid one is kept; both can be shown', async () => {
  const cwd = openFolder()
  await launch(cwd)
  expect((await runCli(['schedule', 'order-1', '--timeout', '2s'], { cwd })).code).toBe(0)
  expect((await runCli(['schedule', 'order-2', '--timeout', '2s'], { cwd })).code).toBe(0)
  expect((await runCli(['pay', 'order-2'], { cwd })).code).toBe(0)
  const first = await eventually('order-1 is cancelled', async () => {
    const shown = await show(cwd, 'order-1')
    return shown.order.status === 'cancelled' && shown.check.state === 'finished' ? shown : undefined
  })
  expect(first.check.finished).toMatchObject({
    outcome: 'cancelled',
    status: 'pending',
    decidedBy: expect.stringContaining(':'),
  })
  const second = await eventually('order-2 is looked at', async () => {
    const shown = await show(cwd, 'order-2')
    return shown.check.state === 'finished' ? shown : undefined
  })
  expect(second).toMatchObject({ order: { status: 'paid' }, check: { finished: { outcome: 'kept', status: 'paid' } } })
  expect(await runCli(['pay', 'order-1', '--json'], { cwd })).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('"cancelled"'),
  })
})

test('it stops with the daemon, keeps its data, and has the settings that the queue needs', async () => {
  const cwd = openFolder()
  const daemon = await launch(cwd)
  const redis = new Redis({ path: socketOf(cwd) })
  const setting = async (name: string) => ((await redis.config('GET', name)) as string[])[1]
  expect(await setting('maxmemory-policy')).toBe('noeviction')
  expect(await setting('appendonly')).toBe('yes')
  expect(await setting('hash-max-listpack-value')).toBe('128')
  expect(await setting('port')).toBe('0')
  await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
  const uuid = randomUUID()
  await runCli(['schedule', uuid, '--timeout', '1h'], { cwd })
  expect(await redis.object('ENCODING', `bull:check-payment:order-${uuid}`)).toBe('listpack')
  redis.disconnect()
  expect(await daemon.stop()).toBe(0)
  expect(existsSync(socketOf(cwd))).toBe(false)

  // Without a daemon, a command starts and stops it for itself.
  expect(await show(cwd, 'kept')).toMatchObject({ check: { state: 'waiting' }, order: { status: 'pending' } })
  expect(existsSync(socketOf(cwd))).toBe(false)
})

test('after the daemon was killed, the next one takes it over with its data', async () => {
  const cwd = openFolder()
  const killed = await launch(cwd)
  await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
  await killed.stop('SIGKILL')
  const next = await launch(cwd)
  expect(await detail(next)).toMatch(/^adopted/)
  expect(await show(cwd, 'kept')).toMatchObject({ order: { status: 'pending' } })
  expect(await next.stop()).toBe(0)
  expect(existsSync(socketOf(cwd))).toBe(false)
})

test('SIGTERM while it does not come up: exit code 0 at once, and it is gone', async () => {
  const cwd = openFolder()
  const bin = join(cwd, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'redis-server'), `#!/bin/sh\necho $$ > ${join(cwd, 'pid')}\nexec sleep 600\n`, {
    mode: 0o755,
  })
  const daemon = new DaemonProcess({ PATH: `${bin}:${process.env.PATH}` }, { cwd })
  const pid = await eventually(
    'it is started',
    () => existsSync(join(cwd, 'pid')) && Number(readFileSync(join(cwd, 'pid'), 'utf8')),
  )
  const signalledAt = Date.now()
  expect(await daemon.stop()).toBe(0)
  expect(Date.now() - signalledAt).toBeLessThan(5_000)
  await eventually(
    'the child is gone',
    () => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '),
  )
})

test('a second daemon in the same folder is refused', async () => {
  const cwd = openFolder()
  await launch(cwd)
  const second = new DaemonProcess({}, { cwd })
  expect(await second.until(({ level }) => level === 'fatal')).toMatchObject({
    code: 'EMBEDDED_REDIS_FAILED',
    msg: expect.stringContaining('another order-expiry'),
  })
  expect(await second.stop()).toBe(1)
})

test('when it dies it is started again, and the daemon goes on', async () => {
  const cwd = openFolder()
  const daemon = await launch(cwd)
  const redis = new Redis({ path: socketOf(cwd), retryStrategy: () => null })
  redis.on('error', () => {})
  const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1])
  redis.disconnect()
  process.kill(pid, 'SIGKILL')
  await daemon.until(({ msg }) => msg.startsWith('the embedded Redis exited'))
  await eventually(
    'it accepts an order again',
    async () => (await runCli(['schedule', 'again', '--timeout', '1s'], { cwd })).code === 0,
  )
  await eventually(
    'the order is cancelled',
    async () => (await show(cwd, 'again')).order?.status === 'cancelled',
    40_000,
  )
}, 90_000)
