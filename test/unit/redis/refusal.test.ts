import { expect, test } from '@jest/globals'
import { namedQueue } from '../../../src/redis/keys.ts'
import { describeRefusal, patternOf } from '../../../src/redis/refusal.ts'
import { redisErrorCode } from '../../../src/redis/reply.ts'

const fetching = { name: 'evalsha', args: ['0'.repeat(40), '2', 'bull:q:wait', 'bull:q:active', 'bull:q:'] }
const hget = { name: 'hget', args: ['bull:q:7', 'data'] }

/** An error as ioredis makes it of an error answer. */
function refusal(message: string, command: object): Error {
  return Object.assign(new Error(message), { name: 'ReplyError', command })
}

/** As Redis 6.2, 7.0, and 7.2 to 8 and Valkey write it. */
const IN_SCRIPT = 'script: 5fd8a, on @user_script:1.'
test.each([
  ['the script', "NOPERM User shop has no permissions to run the 'evalsha' command", '+evalsha ~bull:q:*'],
  ['the script, 7.0', "NOPERM this user has no permissions to run the 'evalsha' command", '+evalsha ~bull:q:*'],
  [
    'a command in it',
    `ERR ACL failure in script: User shop has no permissions to run the 'rpoplpush' command ${IN_SCRIPT}`,
    '+rpoplpush ~bull:q:*',
  ],
  ['a key in it', `ERR ACL failure in script: No permissions to access a key ${IN_SCRIPT}`, '~bull:q:*'],
  [
    'a key in it, 7.0',
    `ERR The user executing the script can't access at least one of the keys mentioned in the command arguments ${IN_SCRIPT}`,
    '~bull:q:*',
  ],
  [
    'a key in it, 6.2',
    "ERR Error running script (call to f_5f): @user_script:1: -NOPERM The user executing the script can't access at least one of the keys mentioned in the command arguments",
    '~bull:q:*',
  ],
  ['the keys', 'NOPERM No permissions to access a key', '~bull:q:*'],
])('where Redis refuses %s, the advice names what is missing and nothing that is there: %s', (_, message, rules) => {
  const error = refusal(message, fetching)
  expect(describeRefusal(error)).toMatch(new RegExp(`ACL SETUSER <user> ${rules.replace(/[+*]/g, '\\$&')}$`))
  expect(redisErrorCode(error)).toBe('NOPERM')
})

test.each([
  `ERR The user executing the script can't run this command or subcommand ${IN_SCRIPT}`,
  "ERR Error running script (call to f_5f): @user_script:1: -NOPERM The user executing the script can't run this command or subcommand",
])('where Redis up to 7.0 does not name the command of a script, doctor is said to: %s', (text) => {
  const said = describeRefusal(refusal(text, fetching))
  expect(redisErrorCode(refusal(text, fetching))).toBe('NOPERM')
  expect(said).toMatch(/^a command of EVALSHA bull:q:\* .*docs\/redis\.md, of which order-expiry doctor lists/)
  expect(said).not.toContain('+evalsha')
})

test('a single command and its key are named', () => {
  const text = "NOPERM User shop has no permissions to run the 'hget' command"
  expect(describeRefusal(refusal(text, hget))).toMatch(/^HGET bull:q:\* .*\+hget ~bull:q:\*$/)
})

test.each([
  ['bull', fetching.args.slice(2, 4)],
  ['staging', ['staging:q:wait', 'staging:q:active']],
  ['shop:eu', ['shop:eu:q:wait', 'shop:eu:q:active']],
])('in cluster mode the tag is that of the prefix that is used, %s: no two queues become one', (prefix, keys) => {
  const call = { name: 'evalsha', args: ['0'.repeat(40), '2', ...keys] }
  const text = "CROSSSLOT Keys in request don't hash to the same slot"
  for (const command of [call, { name: 'exists', args: keys }]) {
    expect(describeRefusal(refusal(text, command))).toContain(`set QUEUE_PREFIX={${prefix}}, in the library`)
  }
  expect(describeRefusal(refusal(text, { name: 'multi', args: [] }))).toContain('to your prefix in braces')
})

test.each(['bull', '{bull}'])('with the prefix %s the pattern of a key covers one queue alone', (prefix) => {
  const { keys } = namedQueue({ name: 'q', prefix })
  expect(patternOf(keys.wait)).toBe(`${prefix}:q:*`)
  expect([patternOf(keys.brake), patternOf(keys.sweptAt)]).toEqual([`{${prefix}:q}:*`, `{${prefix}:q}:*`])
})
