import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import type { Finding } from '../../src/doctor/finding.ts'
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

const diagnoseCluster = (redis: string, prefix: string) =>
  diagnoseRedis({ redis, keepsOrders: true, clock: systemClock, queue: namedQueue({ name: 'check-payment', prefix }) })

test('in cluster mode it asks for a hash tag, and is content with one', async () => {
  const node = await startClusterNode()
  closing.push(() => node.stop())
  const findings = await diagnoseCluster(node.url, 'bull')
  expect(ofCode(findings, 'redis-cluster')).toEqual([
    ['error', expect.stringMatching(/cluster mode: set QUEUE_PREFIX=\{bull\}/)],
  ])
  expect(fixesOf(findings, 'redis-cluster')).toEqual(['QUEUE_PREFIX={bull}'])
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
