import { isRedisRefusal, isRefusalInScript, redisErrorCode } from './reply.ts'

/** What Redis refuses and what to do about it, for people: `refuses …: …`. */
export function describeRefusal(error: Error): string {
  const { message } = error
  const code = redisErrorCode(error)
  if (code === 'CROSSSLOT') return `${CLUSTER_MODE}: ${taggedPrefix(error)} (${message})`
  if (code === 'MOVED' || code === 'ASK') return `${SEVERAL_NODES} (${message})`
  if (code === 'WRONGPASS' || code === 'NOAUTH') return `us (${message}): check user and password`
  const asked = askedOf(error)
  const unnamed = isRefusalInScript(error) ? 'a command in a script' : 'us'
  const what = asked ? [asked.name.toUpperCase(), ...asked.keys].join(' ') : unnamed
  if (isRedisRefusal(error)) return `${what} (${message}): ${permission(asked)}`
  if (code === 'WRONGTYPE')
    return `${what} (${message}): one of these keys is not what it should be; see order-expiry doctor`
  return `${what} (${message}): check user, permissions and keys`
}

const CLUSTER_MODE = 'keys in several slots, because it is in cluster mode'
const SEVERAL_NODES =
  'keys that another node has: a Redis Cluster of several nodes is not supported yet; use a Redis of one node'

function taggedPrefix(error: Error): string {
  const prefix = prefixOf(keysOf(error).filter(Boolean))
  if (!prefix) return 'set QUEUE_PREFIX, in the library queuePrefix, to your prefix in braces, such as {bull}'
  return `set QUEUE_PREFIX={${prefix}}, in the library queuePrefix: '{${prefix}}'`
}

/** Of the queue whose keys they are: all of them begin with `prefix:name:`. */
function prefixOf(keys: readonly string[]): string {
  const [first = [], ...others] = keys.map((key) => key.split(':'))
  return first
    .filter((part, n) => others.every((other) => other[n] === part))
    .slice(0, -1)
    .join(':')
}

function permission(asked: Asked | undefined): string {
  const advice = 'its user needs the permissions of docs/redis.md'
  if (!asked) return `${advice}; order-expiry doctor lists those that it lacks`
  const rules = [...(asked.isAboutKeys ? [] : [`+${asked.name}`]), ...asked.keys.map((key) => `~${key}`)]
  return `${advice}, such as ACL SETUSER <user> ${rules.join(' ')}`
}

interface Asked {
  name: string
  /** Patterns. */
  keys: string[]
  /** The user may run the command, but not on these keys. */
  isAboutKeys: boolean
}

/** Redis names a command that it refuses, also one within a script; not so the key that it refuses. */
const REFUSED_COMMAND = /permissions? to run the '([^']+)'/
const REFUSED_KEY = /permissions? to access|can't access/

/** What was asked of Redis: what it names, or else what ioredis notes on the error of a command. */
function askedOf(error: Error): Asked | undefined {
  const { message } = error
  const isAboutKeys = REFUSED_KEY.test(message)
  // Redis up to 7.0 does not name a command within a script.
  const noted = isRefusalInScript(error) && !isAboutKeys ? undefined : (error as Noted).command?.name
  const name = REFUSED_COMMAND.exec(message)?.[1] ?? noted
  if (name === undefined) return undefined
  const patterns = keysOf(error).flatMap((key) => patternOf(key) ?? [])
  return { name, keys: [...new Set(patterns)], isAboutKeys }
}

type Noted = Error & { command?: { name: string; args: readonly unknown[] } }

function keysOf(error: Error): string[] {
  const { name = '', args = [] } = (error as Noted).command ?? {}
  if (/^(eval|evalsha|fcall)/.test(name)) return args.slice(2, 2 + Number(args[1])).map(String)
  return (name === 'exists' ? args : args.slice(0, 1)).map(String)
}

/** Of the keys of a queue: `prefix:name:…`, and ours, `{prefix:name}:…`. */
export function patternOf(key: string): string | undefined {
  const [beginning] = /^(\{.*?\}:|[^:]*:[^:]*:)/.exec(key) ?? []
  return beginning && `${beginning}*`
}
