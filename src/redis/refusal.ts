import { isRefusalInScript, redisErrorCode } from './reply.ts'

/** What Redis refuses and what to do about it, for people: `refuses …: …`. */
export function describeRefusal(error: Error): string {
  const { message } = error
  const code = redisErrorCode(error)
  if (code === 'CROSSSLOT') return `${CLUSTER_MODE}: ${taggedPrefix(error)} (${message})`
  if (code === 'MOVED' || code === 'ASK') return `${SEVERAL_NODES} (${message})`
  if (code === 'WRONGPASS' || code === 'NOAUTH') return `us (${message}): check user and password`
  const { what, rules } = askedOf(error)
  if (code === 'NOPERM') {
    const which = rules
      ? `such as ACL SETUSER <user> ${rules}`
      : 'of which order-expiry doctor lists those that it lacks'
    return `${what} (${message}): its user needs the permissions of docs/redis.md, ${which}`
  }
  if (code === 'WRONGTYPE')
    return `${what} (${message}): one of these keys is not what it should be; see order-expiry doctor`
  return `${what} (${message}): check user, permissions and keys`
}

const CLUSTER_MODE = 'keys in several slots, because it is in cluster mode'
const SEVERAL_NODES =
  'keys that another node has: a Redis Cluster of several nodes is not supported yet; use a Redis of one node'

/** The keys are those of one queue: all of them begin with `prefix:name:`. */
function taggedPrefix(error: Error): string {
  const [first = [], ...others] = keysOf(error)
    .filter(Boolean)
    .map((key) => key.split(':'))
  const shared = first.filter((part, n) => others.every((other) => other[n] === part))
  const prefix = shared.slice(0, -1).join(':')
  if (!prefix) return 'set QUEUE_PREFIX, in the library queuePrefix, to your prefix in braces, such as {bull}'
  return `set QUEUE_PREFIX={${prefix}}, in the library queuePrefix: '{${prefix}}'`
}

/** Redis names a command that it refuses, but up to 7.0 not one within a script, and never the key that it refuses. */
const REFUSED_COMMAND = /permissions? to run the '([^']+)'/
const REFUSED_KEY = /permissions? to access|can't access/

/** What was asked of Redis, and the rules that its user may lack, where that is known. */
function askedOf(error: Error): { what: string; rules?: string } {
  const named = REFUSED_COMMAND.exec(error.message)?.[1]
  const name = named ?? (error as Noted).command?.name
  if (name === undefined) return { what: 'us' }
  const patterns = [...new Set(keysOf(error).flatMap((key) => patternOf(key) ?? []))]
  const what = [name.toUpperCase(), ...patterns].join(' ')
  const keyRules = patterns.map((pattern) => `~${pattern}`)
  if (REFUSED_KEY.test(error.message)) return { what, rules: keyRules.join(' ') }
  if (!named && isRefusalInScript(error)) return { what: `a command of ${what}` }
  return { what, rules: [`+${name}`, ...keyRules].join(' ') }
}

type Noted = Error & { command?: { name: string; args: readonly unknown[] } }

/** As ioredis notes them on the error of a command. */
function keysOf(error: Error): string[] {
  const { name = '', args = [] } = (error as Noted).command ?? {}
  if (/^(eval|evalsha|fcall)/.test(name)) return args.slice(2, 2 + Number(args[1])).map(String)
  return (name === 'exists' ? args : args.slice(0, 1)).map(String)
}

/** Of the keys of a queue: `prefix:name:…`, and ours, `{prefix:name}:…`. */
export function patternOf(key: string): string | undefined {
  const [beginning] = /^(\{.*?:[^:]*\}:|[^:]*:[^:]*:)/.exec(key) ?? []
  return beginning && `${beginning}*`
}
