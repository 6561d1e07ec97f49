import { type Finding, finding, ok } from '../../doctor/finding.ts'
import { count } from '../../runtime/human-numbers.ts'
import type { RedisState } from './state.ts'

const NEEDED_VERSION = 6.2
const TESTED_VERSION = 7

export function lookAtVersion({ info }: RedisState): Finding {
  const product = info.has('valkey_version') ? 'Valkey' : info.has('dragonfly_version') ? 'Dragonfly' : 'Redis'
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '0'
  const what = `${product} ${version}`
  const release = Number.parseFloat(version)
  if (release >= TESTED_VERSION) return ok('redis-version', what)
  const works = release >= NEEDED_VERSION
  return finding(works ? 'warning' : 'error', 'redis-version', {
    what: `${what}, ${works ? '7 or later is recommended' : 'expected 6.2 or later'}`,
    meaning: works
      ? 'It works, but is no longer maintained, and we do not test with it.'
      : 'BullMQ and the redis store use commands that it does not have.',
    fix: '# upgrade to Redis 7 or later, or Valkey',
  })
}

export function lookAtRole({ info }: RedisState): Finding {
  if (info.get('role') !== 'slave') return ok('redis-role', 'primary, takes writes')
  const primary = `${info.get('master_host')}:${info.get('master_port')}`
  return finding('error', 'redis-role', {
    what: `is a replica of ${primary} (link ${info.get('master_link_status') ?? 'unknown'})`,
    meaning: 'It refuses writes: nothing can be scheduled, and no check can be finished.',
    fix: [
      `# point REDIS_URL to the primary, ${primary}; or, if this one is to become the primary:`,
      'REPLICAOF NO ONE',
    ],
  })
}

export function lookAtReplicas({ info, config }: RedisState): Finding {
  const replicas = Number(info.get('connected_slaves') ?? 0)
  if (replicas === 0) return ok('redis-replicas', 'none')
  const least = config.get('min-replicas-to-write') ?? 'cannot be read here'
  return finding('info', 'redis-replicas', {
    what: `${count(replicas, 'replica')}, min-replicas-to-write ${least}`,
    meaning:
      'Replicas follow a moment later: a failover forgets the last writes, even acknowledged ones. With min-replicas-to-write above 0 Redis refuses writes when no replica keeps up.',
  })
}
