import { Redis } from 'ioredis'
import { eventually } from './eventually.ts'
import { type Server, startRedis } from './processes.ts'

/** The last slot of a cluster. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
const LAST_SLOT = 16_383

/** A real Redis in cluster mode that has these slots, by default all of them: a cluster of one node. */
export async function startClusterNode({ slots: [first, last] = [0, LAST_SLOT] } = {}): Promise<Server> {
  const node = await startRedis({ settings: ['--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'no'] })
  const admin = new Redis(node.url)
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', first as number, last as number)
  await eventually('the cluster is up', async () => String(await admin.call('CLUSTER', 'INFO')).includes('state:ok'))
  admin.disconnect()
  return node
}

/** Two nodes that share the slots; the first has the lower ones. */
export async function startTwoClusterNodes(): Promise<[Server, Server]> {
  const nodes = await Promise.all([
    startClusterNode({ slots: [0, 8_191] }),
    startClusterNode({ slots: [8_192, LAST_SLOT] }),
  ])
  const [first, second] = nodes
  const admin = new Redis(first.url)
  await admin.call('CLUSTER', 'MEET', '127.0.0.1', second.port)
  admin.disconnect()
  for (const { url } of nodes) {
    const redis = new Redis(url)
    await eventually('each knows all slots', async () => {
      const info = String(await redis.call('CLUSTER', 'INFO'))
      return info.includes(`cluster_slots_assigned:${LAST_SLOT + 1}`) && info.includes('state:ok')
    })
    redis.disconnect()
  }
  return nodes
}
