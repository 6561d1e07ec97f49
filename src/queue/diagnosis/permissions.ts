import { type Finding, finding, ok } from '../../doctor/finding.ts'
import type { RedisAddress, RedisProfile } from '../../redis/address.ts'
import { Connection } from '../../redis/connection.ts'
import { patternOf } from '../../redis/refusal.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import type { KeyKind } from './key-kinds.ts'

/** What BullMQ's scripts and ours do with a key of each kind; the first one writes. `@` is another key. */
const COMMANDS: Record<KeyKind, string> = {
  list: 'LPUSH x,RPUSH x,LPOP,RPOP,LREM 0 x,LSET 0 x,LTRIM 0 0,RPOPLPUSH @,RENAME @,LLEN,LRANGE 0 0,LINDEX 0,LPOS x',
  zset: 'ZADD 0 x,ZREM x,ZREMRANGEBYSCORE 0 0,ZREMRANGEBYRANK 0 0,ZPOPMIN,BZPOPMIN 1,ZRANGE 0 0,ZRANGEBYSCORE 0 0,ZREVRANGE 0 0,ZREVRANGEBYSCORE 0 0,ZCARD,ZCOUNT 0 0,ZSCORE x,ZRANK x,ZSCAN 0',
  set: 'SADD x,SREM x,SMEMBERS,SCARD',
  hash: 'HSET f v,HMSET f v,HDEL f,HINCRBY f 1,HGET f,HMGET f,HGETALL,HEXISTS f,HLEN,HSCAN 0',
  stream: 'XADD * f v,XTRIM MAXLEN 9,XDEL 0-1,XLEN,XRANGE - +',
  string: 'SET v,INCR,INCRBY 1,EXPIRE 9,PEXPIRE 9,PERSIST,DEL,GET,MGET,PTTL,EXISTS,TYPE',
}
const READS =
  /^(L(LEN|RANGE|INDEX|POS)|Z(REV)?RANGE(BYSCORE)?|Z(CARD|COUNT|SCORE|RANK|SCAN)|SMEMBERS|SCARD|H(GET|MGET|GETALL|EXISTS|LEN|SCAN)|X(LEN|RANGE)|M?GET|PTTL|EXISTS|TYPE|EVAL|EVALSHA|TIME|INFO)$/
const REFUSED_COMMAND = /permissions? to run the '([^']+)'/

interface Probe {
  command: string[]
  key?: string
}

/**
 * Finds which commands and keys the user may not use that a daemon needs, and changes nothing: by ACL DRYRUN or, where that is
 * not there or not allowed, by commands that Redis only queues, and drops.
 */
export async function lookAtPermissions(options: {
  connection: Connection
  address: RedisAddress
  profile: RedisProfile
  kinds: ReadonlyMap<string, KeyKind>
}): Promise<Finding> {
  const { connection, address, profile, kinds } = options
  const probes = probesOf(kinds)
  const refusals = (await askDryRun(connection, probes)) ?? (await askQueueing({ address, profile, probes }))
  const unseen = 'cannot be looked at: neither ACL DRYRUN nor MULTI is allowed'
  if (!refusals) return finding('info', 'queue-permissions', { what: unseen })
  const refused = probes.filter((_, n) => refusals[n] !== undefined)
  if (refused.length === 0) return ok('queue-permissions', 'the user may do all that a daemon does')
  const commands = new Set<string>()
  const keys = new Set<string>()
  for (const [n, { command, key }] of probes.entries()) {
    const refusal = refusals[n]
    if (refusal === undefined) continue
    if (key === undefined || REFUSED_COMMAND.test(refusal)) commands.add((command[0] as string).toLowerCase())
    else keys.add(patternOf(key) ?? key)
  }
  const isWrite = ({ command: [name = ''] }: Probe) => !READS.test(name)
  const mayOnlyLook = probes.filter(isWrite).every((probe) => refused.includes(probe))
  const rules = [...Array.from(commands, (name) => `+${name}`), ...Array.from(keys, (pattern) => `~${pattern}`)]
  const what = [
    commands.size > 0 && `the commands ${[...commands].join(', ').toUpperCase()}`,
    keys.size > 0 && `the keys ${[...keys].join(', ')}`,
  ].filter(Boolean)
  return finding(mayOnlyLook ? 'info' : 'error', 'queue-permissions', {
    what: `the user may not use ${what.join(' and ')}`,
    meaning: mayOnlyLook
      ? 'This user may only look; a daemon needs another one.'
      : 'A daemon with this user cannot add, fetch or finish checks, or cannot read the brake.',
    fix: ['# as docs/redis.md says, or at least:', `ACL SETUSER <user> ${rules.join(' ')}`],
  })
}

/** Each command on one key of its kind, and on every other key one that writes. */
function probesOf(kinds: ReadonlyMap<string, KeyKind>): Probe[] {
  const tried = new Set<KeyKind>()
  const probes: Probe[] = [{ command: ['TIME'] }, { command: ['INFO'] }]
  for (const [key, kind] of kinds) {
    const texts = COMMANDS[kind].split(',').slice(0, tried.has(kind) ? 1 : undefined)
    tried.add(kind)
    for (const text of texts) {
      const [name = '', ...args] = text.split(' ')
      probes.push({ command: [name, key, ...args.map((arg) => (arg === '@' ? key : arg))], key })
    }
  }
  const [key = ''] = kinds.keys()
  probes.push({ command: ['EVAL', 'return 1', '1', key], key }, { command: ['EVALSHA', '0'.repeat(40), '1', key], key })
  return probes
}

/** @returns for each probe why it is refused, if it is; undefined where Redis does not tell */
async function askDryRun({ redis }: Connection, probes: readonly Probe[]): Promise<(string | undefined)[] | undefined> {
  try {
    const user = String(await redis.call('ACL', 'WHOAMI'))
    const answers = await Promise.all(probes.map(({ command }) => redis.call('ACL', 'DRYRUN', user, ...command)))
    return answers.map((answer) => (answer === 'OK' ? undefined : String(answer)))
  } catch (error) {
    if (redisErrorCode(error) === undefined) throw error
    return undefined
  }
}

/**
 * Redis checks permissions before it queues a command. The connection is not made again: what it has not sent yet must not be
 * sent outside the transaction.
 */
async function askQueueing(options: {
  address: RedisAddress
  profile: RedisProfile
  probes: readonly Probe[]
}): Promise<(string | undefined)[] | undefined> {
  const { address, profile, probes } = options
  const once = { ...profile, retryStrategy: () => null, reconnectOnError: null, autoResendUnfulfilledCommands: false }
  const connection = new Connection({ address, profile: once })
  const { redis } = connection
  try {
    await connection.untilReady()
    if ((await redis.call('MULTI')) !== 'OK') return undefined
    const asked = probes.map(async ({ command: [name = '', ...args] }) => {
      try {
        await redis.call(name, ...args)
        return undefined
      } catch (error) {
        if (redisErrorCode(error) === undefined) throw error
        return redisErrorCode(error) === 'NOPERM' ? (error as Error).message : undefined
      }
    })
    const answers = await Promise.all(asked)
    await redis.call('DISCARD')
    return answers
  } catch (error) {
    if (redisErrorCode(error) === undefined) throw error
    return undefined
  } finally {
    connection.close()
  }
}
