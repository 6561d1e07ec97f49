import { type Finding, finding, ok } from '../../doctor/finding.ts'
import { asOrderExpiryError } from '../../errors.ts'
import type { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import { checkSlots } from '../../redis/slots.ts'

/** Whether a script can have all keys of the queue, where Redis is in cluster mode. @returns undefined where it is not */
export async function lookAtSlots(options: {
  connection: Connection
  queue: NamedQueue
  isCluster: boolean
}): Promise<Finding | undefined> {
  const { connection, queue, isCluster } = options
  try {
    await checkSlots({ connection, keys: queue.keys })
    return isCluster ? ok('redis-cluster', 'cluster mode, with all keys of the queue in one place') : undefined
  } catch (error) {
    const { message, cause } = asOrderExpiryError(error)
    const isSpread = redisErrorCode(cause) === 'CROSSSLOT'
    return finding('error', 'redis-cluster', {
      what: message,
      meaning: 'Redis refuses every script of the queue: no check can be added, fetched or finished.',
      fix: isSpread
        ? ['# in the settings of every process, and of every producer:', `QUEUE_PREFIX={${queue.prefix}}`]
        : '# use a Redis of one node, with replicas and Sentinel if need be',
    })
  }
}
