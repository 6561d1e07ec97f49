import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { CLI, DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'

/** A folder with these files, the current one of what is run. */
function openFolder(files: Record<string, string>): string {
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'order-expiry-env-')))
  closing.push(() => rmSync(cwd, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text, { mode: 0o600 })
  return cwd
}

const FILES = { '.env': 'CONCURRENCY=5\n', 'other.env': `CONCURRENCY=6\nORDERS_CONDITION="paid" = 'no'\n` }

test.each<[args: string[], file: string | undefined, values: object]>([
  [[], '.env', { CONCURRENCY: '5', ORDERS_CONDITION: null }],
  [['--env-file', 'other.env'], 'other.env', { CONCURRENCY: '6', ORDERS_CONDITION: `"paid" = 'no'` }],
  [['--no-env-file'], undefined, { CONCURRENCY: '1000', ORDERS_CONDITION: null }],
])('check %j says which file it reads, on standard error alone', async (args, file, values) => {
  const cwd = openFolder(FILES)
  for (const line of [
    ['check', '--json', ...args],
    [...args, 'check', '--json'],
  ]) {
    const { code, stdout, stderr } = await runCli(line, { cwd })
    expect({ code, stderr }).toEqual({ code: 0, stderr: file ? `further settings: ${join(cwd, file)}\n` : '' })
    expect(JSON.parse(stdout)).toMatchObject(values)
  }
})

test('the environment wins over the file that is named', async () => {
  const cwd = openFolder(FILES)
  const env = { CONCURRENCY: '7' }
  const { stdout } = await runCli(['check', '--json', '--env-file', 'other.env'], { cwd, env })
  expect(JSON.parse(stdout)).toMatchObject({ CONCURRENCY: '7' })
})

test('the daemon logs which file it has read, its version, and whether it cancels', async () => {
  const cwd = openFolder({ '.env': `REDIS_URL=${redisUrl()}\nQUEUE_NAME=${uniqueName('q')}\nDRY_RUN=true\n` })
  const daemon = new DaemonProcess({}, { cwd })
  closing.push(() => daemon.stop('SIGKILL'))
  expect(await daemon.until(({ msg }) => msg === 'starting')).toMatchObject({
    level: 'info',
    envFile: join(cwd, '.env'),
    dryRun: true,
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
  })
})

test('check does not show the token for /metrics, and says where none is wanted', async () => {
  const shown = async (METRICS_TOKEN: string) =>
    JSON.parse((await runCli(['check', '--json'], { env: { METRICS_TOKEN } })).stdout).METRICS_TOKEN
  expect([await shown('open'), await shown('token-of-prometheus')]).toEqual(['open', '(secret)'])
})

test.each(['start', 'check', 'show order-1'])(
  '%s refuses an .env that others can write, and does nothing',
  async (line) => {
    const cwd = openFolder(FILES)
    chmodSync(join(cwd, '.env'), 0o666)
    expect(await runCli(line.split(' '), { cwd })).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining(`${join(cwd, '.env')}: expected to be writable by its owner only`),
    })
  },
)

test('a value that can be read in two ways is listed with the other problems', async () => {
  const cwd = openFolder({ '.env': 'API_TOKENS=shop:hunter2#hunter2\nCONCURRENCY=many\nSTRIPE_API_KEY=sk_1#2\n' })
  const { code, stderr } = await runCli(['check'], { cwd })
  expect(code).toBe(1)
  expect(stderr).toContain('INVALID_SETTINGS: 2 problems in the settings:\n  API_TOKENS: expected no # outside quotes')
  expect(stderr).toContain('\n  CONCURRENCY: expected a whole number')
  expect(stderr).not.toContain('hunter2')
})

describe('the file of --env-file', () => {
  /** What precedes the path of our script where the project itself starts Node. */
  const starts: [where: string, args: string[]][] = [
    [
      'the image',
      (JSON.parse(/^ENTRYPOINT (.*)$/m.exec(readFileSync('Dockerfile', 'utf8'))?.[1] ?? '') as string[]).slice(1, -1),
    ],
    [
      'npm start',
      /^exec node (.*) dist\/cli.js/m.exec(readFileSync('scripts/start.sh', 'utf8'))?.[1]?.split(' ') ?? [],
    ],
  ]

  test.each(starts)('is not read by Node before us: %s', (_, args) => {
    const cwd = openFolder({
      'open.env': 'NODE_OPTIONS=--require=./theirs.cjs\n',
      'theirs.cjs': "console.log('theirs')\n",
    })
    chmodSync(join(cwd, 'open.env'), 0o666)
    const known = args.filter((arg) => arg !== '--disable-sigusr1') // only the image's Node need know it
    const run = (file: string) =>
      spawnSync(process.execPath, [...known, CLI, 'check', '--env-file', file], { cwd, env: {}, encoding: 'utf8' })
    expect(run('open.env')).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('chmod go-w') })
    expect(run('none.env')).toMatchObject({ status: 1, stderr: expect.stringContaining('INVALID_SETTINGS') })
  })

  test.each<[args: string[], isInstalled: boolean]>([
    [[], true],
    [['start'], true],
    [['start', '--env-file', 'shop.env'], false],
    [['--env-file=shop.env', 'start'], false],
    [['start', '--env-file', 'shop.env', '--no-env-file'], true],
    [['start', '--env-file', 'nowhere.env'], true],
  ])('says whether npm start installs a Redis: %j', (args, isInstalled) => {
    const cwd = openFolder({ 'shop.env': 'REDIS_URL=redis://h\n' })
    const script = [resolve('scripts/ensure-servers.mjs'), 'redis', '--unless-redis-url']
    // Without a PATH, there is neither a Redis nor a way to install one.
    const { status, stderr } = spawnSync(process.execPath, ['--', ...script, '--', ...args], {
      cwd,
      env: {},
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual(
      isInstalled ? { status: 1, stderr: expect.stringContaining('redis-server') } : { status: 0, stderr: '' },
    )
  })
})

test('a quoted table in the file is taken as it is written, and with --env-file too', async () => {
  const table = '"my.schema"."Order"'
  const cwd = openFolder({ '.env': `ORDERS_TABLE=${table}\n`, 'other.env': `ORDERS_TABLE=${table}\n` })
  for (const args of [[], ['--env-file', 'other.env']]) {
    expect(JSON.parse((await runCli(['check', '--json', ...args], { cwd })).stdout)).toMatchObject({
      ORDERS_TABLE: table,
    })
  }
})
