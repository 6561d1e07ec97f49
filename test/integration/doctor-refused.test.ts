import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import type { Finding } from '../../src/doctor/finding.ts'
import { kindsOfKeys } from '../../src/queue/diagnosis/key-kinds.ts'
import { diagnoseQueue } from '../../src/queue/diagnosis/queue.ts'
import { diagnoseRedis } from '../../src/queue/diagnosis/redis.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { startClusterNode, startTwoClusterNodes } from '../helpers/cluster-node.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { fixesOf, ofCode } from '../helpers/findings.ts'

let admin: Redis
let name: string

beforeEach(() => {
  admin = new Redis(redisUrl())
  name = uniqueName('refused')
})
afterEach(async () => {
  await admin.call('ACL', 'DELUSER', name)
  admin.disconnect()
})

/** What doctor finds as a user with these rules. */
async function diagnoseAs(...rules: string[]): Promise<Finding[]> {
  await admin.call('ACL', 'SETUSER', name, 'on', '>secret', ...rules)
  const redis = `redis://${name}:secret@${new URL(redisUrl()).host}`
  return diagnoseQueue({ redis, queue: namedQueue({ name }), clock: systemClock })
}

const ALL_KEYS = () => [`~bull:${name}:*`, `~{bull:${name}}:*`]

test.each([
  ['where it may ask by ACL DRYRUN', []],
  ['where it may not', ['-acl']],
  ['where ACL does not know DRYRUN', ['-acl', '+acl|whoami']],
])(
  'it finds all commands and keys that the user lacks, %s; its fix mends that, and nothing is written',
  async (_, rules) => {
    const lacking = ['-bzpopmin', '-lrem', '-info', '-evalsha', '-xadd']
    const findings = await diagnoseAs('reset', 'on', '>secret', `~bull:${name}:*`, '+@all', ...rules, ...lacking)
    const [[level, what] = []] = ofCode(findings, 'queue-permissions')
    expect(level).toBe('error')
    expect(what).toBe(
      `the user may not use the commands INFO, LREM, BZPOPMIN, XADD, EVALSHA and the keys {bull:${name}}:*`,
    )
    const [fix = ''] = fixesOf(findings, 'queue-permissions')
    expect(fix).toMatch(/^ACL SETUSER <user> \+/)
    const mended = await diagnoseAs(...fix.split(' ').slice(3))
    expect(ofCode(mended, 'queue-permissions')).toEqual([['ok', 'the user may do all that a daemon does']])
    expect(await admin.keys(`*${name}*`)).toEqual([])
  },
)

test('it says so where it cannot find out what the user may do, and looks at the rest', async () => {
  const findings = await diagnoseAs('reset', 'on', '>secret', ...ALL_KEYS(), '+@all', '-acl', '-multi')
  expect(ofCode(findings, 'queue-permissions')).toEqual([['info', expect.stringContaining('cannot be looked at')]])
  expect(ofCode(findings, 'queue-brake')).toEqual([['ok', 'the brake is not engaged']])
})

test('it finds every key of the queue that is of another type, and its fix moves them away', async () => {
  const { keys } = namedQueue({ name })
  const strings = [keys.wait, keys.active, keys.marker, keys.job('meta'), keys.job('events'), keys.brake, keys.clocks]
  strings.push(keys.swept, keys.sweptAt, keys.foreignJobs, keys.processes)
  for (const key of strings) await admin.set(key, 'mine')
  await admin.rpush(keys.canary, 'mine')
  const findings = await diagnoseAs('reset', 'on', '>secret', '~*', '&*', '+@all')
  const [[level, what = ''] = []] = ofCode(findings, 'queue-keys')
  expect(level).toBe('error')
  for (const key of strings) expect(what).toContain(`${key} is a string`)
  expect(what).toContain(`${keys.canary} is a list, not a string`)
  for (const fix of fixesOf(findings, 'queue-keys')) await admin.call(...(fix.split(' ') as [string]))
  expect(ofCode(await diagnoseAs(), 'queue-keys')).toEqual([['ok', 'each key of the queue is of its type']])
  await admin.del(...[...strings, keys.canary].map((key) => `${key}:not-ours`))
})

test('every key of a queue that has one name is looked at', () => {
  const { keys } = namedQueue({ name })
  const { own, ...named } = keys
  const looked = kindsOfKeys(keys, { keepsOrders: true })
  expect(Object.values(named).filter((key) => typeof key === 'string' && !looked.has(key))).toEqual([])
  expect(looked.has(own)).toBe(false)
})

/** Scripts of BullMQ of features that are not used: what ends job schedulers, flows, the relay, and what empties a queue. */
const UNUSED =
  /removeJobScheduler|Parent|Child|Dependenc|relay|drain|obliterate|paginate|Metrics|Orphaned|Deduplication|moveJobsToWait/

test('every command of a script, of ours and of BullMQ, is asked for', async () => {
  const scripts = 'node_modules/bullmq/dist/cjs/scripts'
  const ofBullmq = readdirSync(scripts).filter((file) => /-\d+\.js$/.test(file) && !UNUSED.test(file))
  const ofOurs = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const files = [...ofBullmq.map((file) => `${scripts}/${file}`), ...ofOurs.map((file) => `src/${file}`)]
  const called = files.flatMap((file) =>
    Array.from(readFileSync(file, 'utf8').matchAll(/\br?p?call\(\s*["'](\w+)["']/g), ([, command = '']) =>
      command.toUpperCase(),
    ),
  )
  // Of doctor itself, that of which each command is said to be refused, and of HTTP.
  const commands = new Set(called.filter((command) => !/^(ACL|MULTI|DISCARD|POST)$/.test(command)))
  expect(commands.size).toBeGreaterThan(50)
  const findings = await diagnoseAs(
    'reset',
    'on',
    '>secret',
    ...ALL_KEYS(),
    '+@connection',
    '+acl|whoami',
    '+acl|dryrun',
  )
  const [[, what = ''] = []] = ofCode(findings, 'queue-permissions')
  const asked = new Set(what.replace(/^.*the commands /, '').split(', '))
  expect(
    [...commands, 'HSCAN', 'ZSCAN', 'BZPOPMIN', 'EVAL', 'EVALSHA', 'INFO'].filter((one) => !asked.has(one)),
  ).toEqual([])
})

const diagnoseCluster = (redis: string, prefix: string) =>
  diagnoseRedis({ redis, keepsOrders: true, clock: systemClock, queue: namedQueue({ name: 'check-payment', prefix }) })

test('in cluster mode it asks for a hash tag, and is content with one', async () => {
  const node = await startClusterNode()
  closing.push(() => node.stop())
  for (const prefix of ['bull', 'staging', 'shop:eu']) {
    const findings = await diagnoseCluster(node.url, prefix)
    expect(ofCode(findings, 'redis-cluster')).toEqual([
      ['error', expect.stringContaining(`cluster mode: set QUEUE_PREFIX={${prefix}}`)],
    ])
    expect(fixesOf(findings, 'redis-cluster')).toEqual([`QUEUE_PREFIX={${prefix}}`])
  }
  expect(ofCode(await diagnoseCluster(node.url, '{bull}'), 'redis-cluster')[0]?.[0]).toBe('ok')
})

test('a cluster of several nodes is said not to be supported yet', async () => {
  const nodes = await startTwoClusterNodes()
  closing.push(async () => {
    for (const node of nodes) await node.stop()
  })
  for (const { url } of nodes) {
    expect(ofCode(await diagnoseCluster(url, '{bull}'), 'redis-cluster')).toEqual([
      ['error', expect.stringContaining('a Redis Cluster of several nodes is not supported yet')],
    ])
  }
})
