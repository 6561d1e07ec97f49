import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { asRoot } from '../helpers/as-root.ts'
import { closing } from '../helpers/closing.ts'
import { CLI, DaemonProcess, runCli } from '../helpers/daemon.ts'
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
  const redis = new Redis({ path: socketOf(cwd) })
  expect(await redis.object('ENCODING', 'bull:check-payment:order-order-1')).toBe('listpack')
  redis.disconnect()
})

test('it stops with the daemon, keeps its data, and has the settings that the queue needs', async () => {
  const cwd = openFolder()
  const daemon = await launch(cwd)
  const redis = new Redis({ path: socketOf(cwd) })
  const setting = async (name: string) => ((await redis.config('GET', name)) as string[])[1]
  expect(await setting('maxmemory-policy')).toBe('noeviction')
  expect(await setting('appendonly')).toBe('yes')
  expect(await setting('hash-max-listpack-value')).toBe('256')
  expect(await setting('port')).toBe('0')
  await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
  const uuid = randomUUID()
  await runCli(['schedule', uuid, '--timeout', '1h'], { cwd })
  expect(await redis.object('ENCODING', `bull:check-payment:order-${uuid}`)).toBe('listpack')
  redis.disconnect()
  expect(await daemon.stop()).toBe(0)
  expect(existsSync(socketOf(cwd))).toBe(false)

  await launch(cwd)
  expect(await show(cwd, 'kept')).toMatchObject({ check: { state: 'waiting' }, order: { status: 'pending' } })
})

describe('it ends with the daemon, however that ends, and the next one has all its data', () => {
  /** Whether a process is there, and is not only waiting to be forgotten. */
  const lives = (pid: number) =>
    existsSync(`/proc/${pid}/stat`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  const pidOf = async (cwd: string) => {
    const redis = new Redis({ path: socketOf(cwd), retryStrategy: () => null })
    redis.on('error', () => {})
    const [, pid] = /process_id:(\d+)/.exec(await redis.info('server')) ?? []
    redis.disconnect()
    return Number(pid)
  }
  const expectGone = (pid: number) => eventually('its Redis is gone', () => !lives(pid))
  const expectKept = async (cwd: string) => {
    await launch(cwd)
    expect(await show(cwd, 'kept')).toMatchObject({ order: { status: 'pending' } })
  }

  test.each(['SIGKILL', 'SIGABRT', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)('by %s', async (signal) => {
    const cwd = openFolder()
    const daemon = await launch(cwd)
    await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
    const pid = await pidOf(cwd)
    await daemon.stop(signal)
    await expectGone(pid)
    expect(existsSync(socketOf(cwd))).toBe(false)
    await expectKept(cwd)
  })

  test('even if the next one begins at once', async () => {
    const cwd = openFolder()
    const daemon = await launch(cwd)
    await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
    const pid = await pidOf(cwd)
    const killed = daemon.stop('SIGKILL')
    await expectKept(cwd)
    await killed
    await expectGone(pid)
  })

  test('by SIGKILL to the process group of npm', async () => {
    const cwd = openFolder()
    writeFileSync(join(cwd, 'package.json'), JSON.stringify({ scripts: { start: `exec node ${CLI} start` } }))
    const npm = spawn('npm', ['start'], {
      cwd,
      detached: true,
      stdio: 'ignore',
      env: { ...process.env, HTTP_PORT: '0' },
    })
    closing.push(
      () => void (npm.exitCode === null && npm.signalCode === null && process.kill(-(npm.pid as number), 'SIGKILL')),
    )
    await eventually(
      'it serves',
      async () => (await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })).code === 0,
    )
    const pid = await pidOf(cwd)
    process.kill(-(npm.pid as number), 'SIGKILL')
    await expectGone(pid)
    await expectKept(cwd)
  })

  test('by Ctrl-C, which the terminal and npm both pass on: in order', async () => {
    const cwd = openFolder()
    const daemon = await launch(cwd)
    await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
    const pid = await pidOf(cwd)
    daemon.signal('SIGINT')
    daemon.signal('SIGTERM')
    expect(await daemon.stop('SIGINT')).toBe(0)
    expect(daemon.logs.at(-1)).toMatchObject({ msg: 'stopped' })
    expect(lives(pid)).toBe(false)
    await expectKept(cwd)
  })
})

describe('without a daemon and without REDIS_URL', () => {
  test.each([
    'schedule order-1',
    'reschedule order-1 --timeout 1h',
    'withdraw order-1',
    'pay order-1',
    'show order-1',
    'explain order-1',
    'forecast',
    'sweep',
    'sweep --dry-run',
    'replay --all',
    'brake status',
    'brake engage',
  ])('%s says what is missing, and starts nothing', async (line) => {
    const cwd = openFolder()
    expect(await runCli(line.split(' '), { cwd })).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^INVALID_SETTINGS: REDIS_URL: expected .*order-expiry start/),
    })
    expect(existsSync(join(cwd, '.data'))).toBe(false)
  })

  test('doctor finds it an error', async () => {
    const cwd = openFolder()
    const { code, stdout } = await runCli(['doctor', '--json'], { cwd })
    expect(code).toBe(1)
    expect(JSON.parse(stdout).findings).toContainEqual(
      expect.objectContaining({ level: 'error', code: 'redis-reachable', what: expect.stringContaining('REDIS_URL') }),
    )
    expect(existsSync(join(cwd, '.data'))).toBe(false)
  })
})

describe('nobody else gets at its data', () => {
  const modesOf = (dir: string) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() || entry.isDirectory() || entry.isSocket())
      .map((entry) => (statSync(join(entry.parentPath, entry.name)).mode & 0o777).toString(8))
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)
  const expectPrivate = (cwd: string) => {
    expect(modeOf(join(cwd, '.data'))).toBe('700')
    expect(modesOf(join(cwd, '.data')).filter((mode) => !mode.endsWith('00'))).toEqual([])
  }

  test('in a folder that was open before, with files that were', async () => {
    const cwd = openFolder()
    const first = await launch(cwd)
    await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
    await first.stop()
    for (const path of ['.data', '.data/appendonlydir']) chmodSync(join(cwd, path), 0o755)
    for (const name of readdirSync(join(cwd, '.data/appendonlydir'))) {
      chmodSync(join(cwd, '.data/appendonlydir', name), 0o666)
    }
    await launch(cwd)
    expect(await show(cwd, 'kept')).toMatchObject({ order: { status: 'pending' } })
    expectPrivate(cwd)
  })

  test('in a folder of somebody else it does not start', async () => {
    const cwd = openFolder()
    mkdirSync(join(cwd, '.data'))
    asRoot('chown', '12345', join(cwd, '.data'))
    const daemon = new DaemonProcess({}, { cwd })
    expect(await daemon.until(({ level }) => level === 'fatal')).toMatchObject({
      code: 'EMBEDDED_REDIS_FAILED',
      msg: expect.stringMatching(/expected \S+\.data to belong to you/),
    })
    expect(await daemon.stop()).toBe(1)
  })

  test("behind somebody else's link it does not start, and leaves the folder as it is", async () => {
    const [cwd, ours] = [openFolder(), openFolder()]
    chmodSync(ours, 0o755)
    symlinkSync(ours, join(cwd, '.data'))
    asRoot('chown', '-h', '12345', join(cwd, '.data'))
    const daemon = new DaemonProcess({}, { cwd })
    expect(await daemon.until(({ level }) => level === 'fatal')).toMatchObject({ code: 'EMBEDDED_REDIS_FAILED' })
    expect(statSync(ours).mode & 0o777).toBe(0o755)
    expect(await daemon.stop()).toBe(1)
  })

  test("a server behind somebody else's socket is neither asked nor adopted", async () => {
    const cwd = openFolder()
    mkdirSync(join(cwd, '.data'))
    const asked: unknown[] = []
    const stranger = createServer((socket) => asked.push(socket.destroy())).listen(socketOf(cwd))
    closing.push(() => void stranger.close())
    await once(stranger, 'listening')
    asRoot('chown', '12345', socketOf(cwd))
    expect((await runCli(['show', 'a'], { cwd })).code).toBe(1)
    await launch(cwd)
    expect((await runCli(['schedule', 'a', '--timeout', '1h'], { cwd })).code).toBe(0)
    expect(asked).toEqual([])
  })

  test('where the path is too long for a socket, that has a folder of its own, which nobody can guess or prepare', async () => {
    const cwd = join(openFolder(), 'x'.repeat(120))
    mkdirSync(cwd)
    const first = await launch(cwd)
    const folderOf = async (daemon: DaemonProcess) => {
      const { detail } = await daemon.until(({ service }) => service === 'embedded-redis')
      return dirname(/unix:\/\/(\/.*)/.exec(String(detail))?.[1] as string)
    }
    const folder = await folderOf(first)
    expect(modeOf(folder)).toBe('700')
    expectPrivate(cwd)
    await runCli(['schedule', 'kept', '--timeout', '1h'], { cwd })
    expect(await show(cwd, 'kept')).toMatchObject({ order: { status: 'pending' } })
    await first.stop()

    asRoot('chown', '12345', folder)
    const second = await launch(cwd)
    expect(await folderOf(second)).not.toBe(folder)
    expect(await show(cwd, 'kept')).toMatchObject({ order: { status: 'pending' } })
    asRoot('rm', '-r', folder, await folderOf(second))
  })
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

test('a second daemon is refused, too, while the Redis of the first one takes long to answer, and leaves it alone', async () => {
  const cwd = openFolder()
  const first = await launch(cwd)
  const redis = new Redis({ path: socketOf(cwd), retryStrategy: () => null })
  redis.on('error', () => {})
  closing.push(async () => redis.disconnect())
  const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1])
  const { ino } = statSync(socketOf(cwd))
  process.kill(pid, 'SIGSTOP')
  try {
    const second = new DaemonProcess({}, { cwd })
    expect(await second.until(({ level }) => level === 'fatal')).toMatchObject({
      code: 'EMBEDDED_REDIS_FAILED',
      msg: expect.stringContaining('does not answer'),
    })
    expect(await second.stop()).toBe(1)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  expect(statSync(socketOf(cwd)).ino).toBe(ino)
  expect(await redis.ping()).toBe('PONG')
  expect((await runCli(['schedule', 'later', '--timeout', '1h'], { cwd })).code).toBe(0)
  expect(first.hasExited).toBe(false)
}, 90_000)

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
