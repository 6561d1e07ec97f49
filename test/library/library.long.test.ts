import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { redisUrl, uniqueName } from '../helpers/env.ts'

/*
 * What a shop gets that installs the package `order-expiry`: it is packed by `npm run library`, installed into an empty
 * folder, and used there in each way in which applications load packages.
 */

const VERSION = JSON.parse(readFileSync('package.json', 'utf8')).version as string
const PACKED = resolve(`order-expiry-${VERSION}.tgz`)
const TOOLS = resolve('test/library/node_modules')

jest.setTimeout(180_000) // compilers are slow beside other tests

let shop: string
beforeAll(() => {
  shop = mkdtempSync(join(tmpdir(), 'order-expiry-shop-'))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel', 'error', PACKED], { cwd: shop })
})
afterAll(() => rmSync(shop, { recursive: true, force: true }))

/** Writes a file of the shop. */
function write(name: string, text: string): string {
  const path = join(shop, name)
  writeFileSync(path, text)
  return path
}

/** Runs a program of Node; afterwards it has ended by itself. */
function run(program: string, ...args: string[]): { code: number | null; output: string } {
  const { REDIS_URL: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: shop,
    encoding: 'utf8',
    timeout: 120_000,
    env: { ...env, REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('library') },
  })
  return { code: status, output: stdout + stderr }
}

test('the package is what the linters of packages want, for every way to resolve it', () => {
  expect(run(join(TOOLS, '@arethetypeswrong/cli/dist/index.js'), PACKED, '--no-emoji', '--no-color')).toMatchObject({
    code: 0,
    output: expect.stringContaining('No problems found'),
  })
  expect(run(join(TOOLS, 'publint/src/cli.js'), PACKED, '--strict')).toMatchObject({
    code: 0,
    output: expect.stringContaining('All good!'),
  })
})

test('it brings bullmq, ioredis, zod and what these need: some 20 packages and 20 MB', () => {
  const modules = join(shop, 'node_modules')
  const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'))
  const names = Object.keys(packages).map((path) => path.replace('node_modules/', ''))
  expect(names).toEqual(expect.arrayContaining(['order-expiry', 'bullmq', 'ioredis', 'zod']))
  expect(names.length > 25 ? names : []).toEqual([])
  expect(bytesOf(modules) / 1e6).toBeLessThan(25)
  expect(bytesOf(join(modules, 'order-expiry')) / 1e6).toBeLessThan(0.5)
})

function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}

const USE = `
  const { REDIS_URL: redis, QUEUE_NAME: queueName } = process.env
  const expiry = new OrderExpiry({ redis, queueName, orders: 'redis' })
  const scheduled = await expiry.schedule({ orderId: 'A-1', deadline: '15m' })
  const refused = await expiry.schedule({ orderId: '' }).catch((error) => error instanceof OrderExpiryError && error.code)
  const paid = await expiry.pay('A-1')
  await expiry.withdraw('A-2')
  await expiry.close()
  const results = [scheduled.result, refused, paid.result].join(' ')`

test('it schedules and pays, required or imported, and the process ends by itself after close', () => {
  const told = { code: 0, output: 'scheduled INVALID_ORDER_ID paid true\n' }
  const required = write(
    'required.cjs',
    `const { OrderExpiry, OrderExpiryError } = require('order-expiry')
     const use = async () => {${USE}
       const imported = await import('order-expiry')
       console.log(results, imported.OrderExpiryError === OrderExpiryError)
     }
     use()`,
  )
  expect(run(required)).toEqual(told)
  const imported = write(
    'imported.mjs',
    `import { createRequire } from 'node:module'
     import { OrderExpiry, OrderExpiryError } from 'order-expiry'
     ${USE}
     console.log(results, createRequire(import.meta.url)('order-expiry').OrderExpiryError === OrderExpiryError)`,
  )
  expect(run(imported)).toEqual(told)
})

test('its client for tests is an OrderExpiry of the same package, which itself loads neither that nor Nest', () => {
  const program = write(
    'testing.cjs',
    `const { OrderExpiry } = require('order-expiry')
     const loaded = Object.keys(require.cache).filter((path) => /order-expiry.dist.(testing|nestjs)/.test(path))
     const use = async () => {
       const expiry = require('order-expiry/testing').createTestOrderExpiry({ orders: 'redis' })
       await expiry.schedule({ orderId: 'A-1', deadline: '15m' })
       await expiry.advance('15m')
       console.log(loaded.length, expiry instanceof OrderExpiry, expiry.cancelled.join())
     }
     use()`,
  )
  expect(run(program)).toEqual({ code: 0, output: '0 true A-1\n' })
})

test('it follows the clients of other versions of ioredis, and refuses what it cannot follow', () => {
  const program = write(
    'clients.cjs',
    `const { OrderExpiry } = require('order-expiry')
     const tool = (name) => require(${JSON.stringify(TOOLS)} + '/' + name)
     const { REDIS_URL, QUEUE_NAME: queueName } = process.env
     const schedule = async (orderId, redis) => {
       const expiry = new OrderExpiry({ redis, queueName })
       const { result } = await expiry.schedule({ orderId, deadline: '15m' })
       await expiry.close()
       redis.disconnect()
       return result
     }
     const refusal = (redis) => {
       try { new OrderExpiry({ redis }) } catch (error) { return /Cluster|another package/.exec(error.message)?.[0] }
     }
     const use = async () => [
       ...(await Promise.all(['ioredis-4', 'ioredis-5'].map((name) => schedule(name, new (tool(name))(REDIS_URL))))),
       ...['ioredis-4', 'ioredis-5'].map((name) => refusal(new (tool(name)).Cluster([], { lazyConnect: true }))),
       refusal(tool('redis').createClient({ url: REDIS_URL })),
       refusal(tool('redis').createCluster({ rootNodes: [] })),
     ].join()
     use().then(console.log)`,
  )
  expect(run(program)).toEqual({
    code: 0,
    output: 'scheduled,scheduled,Cluster,Cluster,another package,another package\n',
  })
})

test('a test of Jest in CommonJS uses it', () => {
  write(
    'shop.test.js',
    `const { OrderExpiry, OrderExpiryError } = require('order-expiry')
     test('an order is paid', async () => {${USE}
       expect(results).toBe('scheduled INVALID_ORDER_ID paid')
     })`,
  )
  const config = JSON.stringify({ rootDir: shop, transform: {}, testMatch: ['**/shop.test.js'] })
  expect(run(resolve('node_modules/jest/bin/jest.js'), '--config', config)).toMatchObject({
    code: 0,
    output: expect.stringContaining('1 passed'),
  })
})

/** It compiles only if the types are there and say something. */
const TYPED = `
  const options: OrderExpiryOptions = { redis: 'redis://127.0.0.1:6379', orders: 'redis' }
  export async function use(): Promise<FoundOrder | undefined> {
    const expiry = new OrderExpiry(options)
    const { result }: ScheduleResult = await expiry.schedule({ orderId: 'A-1', deadline: '15m' })
    // @ts-expect-error: there is no such result
    if (result === 'paid') return undefined
    // @ts-expect-error: the field is called deadline
    await expiry.schedule({ orderId: 'A-1', timeout: '15m' })
    const many = await expiry.scheduleMany([{ orderId: 1, deadline: new Date() }])
    for (const each of many) if ('error' in each) console.log(each.error.code satisfies ErrorCode)
    return expiry.find('A-1')
  }
  export const expiry: OrderExpiry = createTestOrderExpiry({ isUnpaid: async () => true, now: new Date() })
  export const isOurs = (error: unknown): boolean => error instanceof OrderExpiryError && error.retryable
`
const IMPORT = `import { OrderExpiry, OrderExpiryError, type ErrorCode, type FoundOrder, type OrderExpiryOptions, type ScheduleResult } from 'order-expiry'
import { createTestOrderExpiry } from 'order-expiry/testing'`

const RESOLUTIONS = [
  { moduleResolution: 'node', module: 'commonjs', files: ['node.ts'] },
  { moduleResolution: 'node16', module: 'node16', files: ['node16.cts', 'node16.mts'] },
  { moduleResolution: 'bundler', module: 'esnext', files: ['bundler.ts'] },
]

describe.each(['typescript', 'typescript-5.0'])('with %s', (compiler) => {
  const compile = ({ files, ...how }: (typeof RESOLUTIONS)[number], text: string) => {
    for (const file of files) write(file, text)
    const project = write(
      'tsconfig.json',
      JSON.stringify({
        compilerOptions: { ...how, target: 'es2020', strict: true, exactOptionalPropertyTypes: true, noEmit: true },
        // Checked like the shop's own code.
        files: [...files, ...['', 'testing/'].map((path) => `node_modules/order-expiry/dist/${path}index.d.ts`)],
      }),
    )
    const { output } = run(join(TOOLS, compiler, 'bin/tsc'), '-p', project, '--typeRoots', join(TOOLS, '@types'))
    const errors = output.split('\n').filter((line) => line.includes('error TS'))
    return errors.filter((line) => !/^node_modules\/(?!order-expiry\/)/.test(line)) // what others declare is not ours to mend
  }

  test.each(RESOLUTIONS)('its types resolve with moduleResolution $moduleResolution, in $files', (resolution) => {
    expect(compile(resolution, `${IMPORT}\n${TYPED}`)).toEqual([])
  })

  test('what it does not export is an error', () => {
    const errors = compile(RESOLUTIONS[1] as (typeof RESOLUTIONS)[number], `import { Nothing } from 'order-expiry'`)
    expect(errors).toEqual([expect.stringContaining('node16.cts'), expect.stringContaining('node16.mts')])
  })
})
