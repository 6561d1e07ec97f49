import { isRedisRefusal, redisErrorCode } from './reply.ts'

/** What Redis refuses and what to do about it, for people: `refuses …: …`. */
export function describeRefusal(error: Error): string {
  const { message } = error
  const code = redisErrorCode(error)
  if (code === 'CROSSSLOT') return `${CLUSTER_MODE}: ${TAGGED_PREFIX} (${message})`
  if (code === 'MOVED' || code === 'ASK') return `${SEVERAL_NODES} (${message})`
  if (code === 'WRONGPASS' || code === 'NOAUTH') return `us (${message}): check user and password`
  const asked = commandOf(error)
  const what = asked ? `${asked.name.toUpperCase()}${asked.keys.map((key) => ` ${key}`).join('')}` : 'us'
  if (isRedisRefusal(error)) return `${what} (${message}): ${permission(asked)}`
  if (code === 'WRONGTYPE')
    return `${what} (${message}): one of these keys is not what it should be; see order-expiry doctor`
  return `${what} (${message}): check user, permissions and keys`
}

const CLUSTER_MODE = 'keys in several slots, because it is in cluster mode'
const TAGGED_PREFIX = "set QUEUE_PREFIX={bull}, in the library queuePrefix: '{bull}'"
const SEVERAL_NODES =
  'keys that another node has: a Redis Cluster of several nodes is not supported yet; use a Redis of one node'

function permission(asked: Asked | undefined): string {
  const rules = asked ? ` such as ACL SETUSER <user> +${asked.name}${asked.keys.map((key) => ` ~${key}`).join('')}` : ''
  return `its user needs the permissions of docs/redis.md,${rules}`.replace(/,$/, '')
}

interface Asked {
  name: string
  /** Patterns. */
  keys: string[]
}

/** What ioredis notes on the error of a command. */
function commandOf(error: Error): Asked | undefined {
  const { command } = error as { command?: { name: string; args: readonly unknown[] } }
  if (!command) return undefined
  const isScript = /^(eval|evalsha|fcall)/.test(command.name)
  const keys = isScript ? command.args.slice(2, 2 + Number(command.args[1])) : command.args.slice(0, 1)
  const patterns = keys.map((key) => patternOf(String(key))).filter((pattern) => pattern !== undefined)
  return { name: command.name, keys: [...new Set(patterns)] }
}

/** Of the keys of a queue: `prefix:name:…`, and ours, `{prefix:name}:…`. */
export function patternOf(key: string): string | undefined {
  const [beginning] = /^(\{.*?\}:|[^:]*:[^:]*:)/.exec(key) ?? []
  return beginning && `${beginning}*`
}
