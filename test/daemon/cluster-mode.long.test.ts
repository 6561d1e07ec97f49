import { expect, test } from '@jest/globals'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { startClusterNode, startTwoClusterNodes } from '../helpers/cluster-node.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'

async function startNode(): Promise<string> {
  const node = await startClusterNode()
  closing.push(() => node.stop())
  return node.url
}

test('without a hash tag, start ends and every command fails, saying which setting mends it', async () => {
  const env = { REDIS_URL: await startNode() }
  const says = /cluster mode: set QUEUE_PREFIX=\{bull\}/
  const start = await runCli(['start'], { env: { ...env, HTTP_PORT: '0' } })
  expect([start.code, start.stdout]).toEqual([1, expect.stringMatching(says)])
  for (const args of [['schedule', '1', '--timeout', '1h'], ['doctor']]) {
    const { code, stdout, stderr } = await runCli(args, { env })
    // Long lines are wrapped.
    const said = (stdout + stderr).replace(/\s+/g, ' ')
    expect([args, code, said]).toEqual([args, 1, expect.stringMatching(says)])
  }
  const client = new OrderExpiry({ redis: env.REDIS_URL })
  closing.push(() => client.close())
  await expect(client.schedule({ orderId: '1', deadline: Date.now() + 3_600_000 })).rejects.toMatchObject({
    code: 'REDIS_REFUSED',
    message: expect.stringContaining("in the library queuePrefix: '{bull}'"),
  })
})

test.each(['{bull}', 'shop:{one}'])(
  'with the hash tag of %s everything works, with the orders in Redis',
  async (prefix) => {
    const url = await startNode()
    const env = { REDIS_URL: url, QUEUE_PREFIX: prefix, BRAKE_MAX_PER_MINUTE: '1000' }
    const daemon = await DaemonProcess.start(env)
    closing.push(() => daemon.stop())
    const web = await daemon.url()
    const client = new OrderExpiry({ redis: url, queuePrefix: prefix, orders: 'redis' })
    const queue = new Queue('check-payment', { connection: { url }, prefix })
    closing.push(
      () => client.close(),
      () => queue.close(),
    )
    const deadline = Date.now() + 1_000
    await client.schedule({ orderId: 'unpaid', deadline })
    await client.schedule({ orderId: 'paid', deadline })
    await client.pay('paid')
    await client.schedule({ orderId: 'moved', deadline: deadline + 3_600_000 })
    await client.reschedule({ orderId: 'moved', deadline })
    await client.schedule({ orderId: 'gone', deadline: deadline + 3_600_000 })
    await client.withdraw('gone')
    await queue.add('check-payment', {}) // it can only fail
    const statusOf = async (orderId: string) => (await client.find(orderId))?.order?.status
    await eventually('the unpaid ones are cancelled', async () => {
      return (await statusOf('unpaid')) === 'cancelled' && (await statusOf('moved')) === 'cancelled'
    })
    expect([await statusOf('paid'), await statusOf('gone')]).toEqual(['paid', 'withdrawn'])
    for (const args of [
      ['explain', 'unpaid'],
      ['show', 'unpaid'],
      ['forecast'],
      ['replay', '--code', 'INVALID_JOB'],
      ['brake', 'engage'],
      ['brake', 'release'],
      ['sweep'],
      ['doctor'],
    ]) {
      const { code, stdout, stderr } = await runCli(args, { env })
      expect([args, code, code === 0 ? '' : stdout + stderr]).toEqual([args, 0, ''])
    }
    for (const path of [
      '/',
      '/readyz',
      '/board/api/queues?activeQueue=check-payment&status=completed',
      '/v1/forecast',
    ]) {
      expect([path, (await fetch(web + path)).status]).toEqual([path, 200])
    }
    expect(daemon.logs.filter(({ msg }) => /CROSSSLOT|MOVED|refuses/.test(msg))).toEqual([])
    const redis = new Redis(url)
    closing.push(async () => redis.disconnect())
    await eventually('the history is written', async () => (await redis.keys('*minute*')).length > 0)
  },
)

test('a cluster of several nodes is refused', async () => {
  const nodes = await startTwoClusterNodes()
  closing.push(async () => {
    for (const node of nodes) await node.stop()
  })
  for (const { url } of nodes) {
    const env = { REDIS_URL: url, QUEUE_PREFIX: '{bull}', HTTP_PORT: '0' }
    const { code, stdout } = await runCli(['start'], { env })
    expect([code, stdout]).toEqual([
      1,
      expect.stringContaining('a Redis Cluster of several nodes is not supported yet'),
    ])
  }
})
