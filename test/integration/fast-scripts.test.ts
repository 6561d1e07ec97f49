import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { callScript, type Script, type ScriptArgument, scriptOf } from '../../src/redis/fast-scripts.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { startRedis } from '../helpers/processes.ts'

/** A connection with a script of its own, which Redis has never seen. */
function define(
  lua: string,
  url = redisUrl(),
): { redis: Redis; script: Script; byClient: (args: ScriptArgument[]) => Promise<unknown> } {
  const redis = new Redis(url)
  closing.push(() => redis.disconnect())
  const name = uniqueName('script')
  redis.defineCommand(name, { lua: `-- ${name}\n${lua}`, numberOfKeys: 1 })
  const byClient = (args: ScriptArgument[]) =>
    (redis as unknown as Record<string, (args: unknown[]) => Promise<unknown>>)[name]?.([...args]) as Promise<unknown>
  return { redis, script: scriptOf(redis, name) as Script, byClient }
}

const HASHES = `
local hashes = {redis.sha1hex(KEYS[1])}
for n, arg in ipairs(ARGV) do hashes[n + 1] = redis.sha1hex(arg) end
return hashes`
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

test.each<[string, ScriptArgument[]]>([
  ['text and numbers', ['a key', 'a value', 0, 1.5, 1_795_375_176_587]],
  ['what is empty or absent', ['', '', undefined, Buffer.alloc(0)]],
  ['every byte', ['a key', everyByte, 'and text', Buffer.from([200, 201])]],
  ['texts beyond ASCII', ['ключ', 'été', '订单', '🛒', everyByte]],
  ['lines', ['a\r\nkey', '$3\r\nfoo\r\n', '*1']],
])('Redis gets %s as the client itself would send it', async (_, args) => {
  const { redis, script, byClient } = define(HASHES)
  const bytes = (arg: ScriptArgument) => (Buffer.isBuffer(arg) ? arg : `${arg ?? ''}`)
  const expected = args.map((arg) => createHash('sha1').update(bytes(arg)).digest('hex'))
  expect(await byClient(args)).toEqual(expected)
  expect(await callScript(redis, script, args, () => Promise.reject(new Error('has been left to the client')))).toEqual(
    expected,
  )
})

test('what Redis does not know, or has forgotten, is called by the client, with the same arguments', async () => {
  const own = await startRedis()
  closing.push(() => own.stop())
  const { redis, script, byClient } = define('return {KEYS[1], ARGV[1], ARGV[2]}', own.url)
  const args = ['k', 'v', 7]
  const call = () => callScript(redis, script, args, () => byClient(args))
  expect(await call()).toEqual(['k', 'v', '7'])
  await redis.script('FLUSH')
  expect(await Promise.all([call(), call()])).toEqual([
    ['k', 'v', '7'],
    ['k', 'v', '7'],
  ])
})

test('what the script fails with, the call fails with, and it is not made twice', async () => {
  const { redis, script, byClient } = define("redis.call('INCR', KEYS[1]) return redis.error_reply('NOT TODAY')")
  const key = uniqueName('key')
  const args = [key]
  await expect(byClient(args)).rejects.toThrow('NOT TODAY')
  await expect(callScript(redis, script, args, () => byClient(args))).rejects.toThrow('NOT TODAY')
  expect(await redis.get(key)).toBe('2')
  await redis.del(key)
})
