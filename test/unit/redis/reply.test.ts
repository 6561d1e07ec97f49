import { describe, expect, test } from '@jest/globals'
import { isRedisRefusal, redisErrorCode } from '../../../src/redis/reply.ts'

/** An error as ioredis makes it of an error answer. */
function reply(message: string): Error {
  const error = new Error(message)
  error.name = 'ReplyError'
  return error
}

describe('redisErrorCode', () => {
  test.each([
    ['READONLY You can not write against a read only replica.', 'READONLY'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'WRONGPASS'],
    ['ERR unknown command', 'ERR'],
    ['OOM command not allowed when used memory > maxmemory.', 'OOM'],
    ['LOADING Redis is loading the dataset in memory', 'LOADING'],
    ['an answer without a code, as a script may give it', 'ERR'],
    ['', 'ERR'],
  ])('is the first word of %j: %s', (message, code) => {
    expect(redisErrorCode(reply(message))).toBe(code)
  })

  test.each([
    ['an error of the connection', new Error('READONLY is what this only says')],
    ['something that is no error', 'READONLY'],
    ['nothing', undefined],
  ])('is undefined for %s', (_, error) => {
    expect(redisErrorCode(error)).toBeUndefined()
  })
})

describe('isRedisRefusal', () => {
  test.each(['WRONGPASS invalid', 'NOAUTH Authentication required.', "NOPERM this user has no permissions to run 'x'"])(
    'is true for %j, which lasts until somebody changes something',
    (message) => {
      expect(isRedisRefusal(reply(message))).toBe(true)
    },
  )

  test.each([reply('LOADING'), reply('READONLY x'), reply('ERR x'), new Error('NOAUTH'), undefined])(
    'is false for %p, which passes or is no matter of permission',
    (error) => {
      expect(isRedisRefusal(error)).toBe(false)
    },
  )
})
