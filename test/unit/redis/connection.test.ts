import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { OrderExpiryError } from '../../../src/errors.ts'
import { describeRedisAddress, parseRedisAddress } from '../../../src/redis/address.ts'
import { asRedisError, Connection } from '../../../src/redis/connection.ts'
import { commandProfile, producerProfile, workerProfile } from '../../../src/redis/profiles.ts'

describe('parseRedisAddress reads', () => {
  test.each<[url: string, options: object]>([
    ['redis://shop.internal:6380', { host: 'shop.internal', port: 6380 }],
    ['redis://shop.internal', { host: 'shop.internal', port: 6379 }],
    ['redis://', { host: '127.0.0.1', port: 6379 }],
    ['redis://10.0.0.1:7000/3', { host: '10.0.0.1', port: 7000, db: 3 }],
    ['redis://h/0', { host: 'h', port: 6379, db: 0 }],
    ['redis://h/', { host: 'h', port: 6379 }],
    ['redis://[::1]:6380', { host: '::1', port: 6380 }],
    ['redis://:secret@h', { host: 'h', port: 6379, password: 'secret' }],
    ['redis://shop:secret@h', { host: 'h', port: 6379, username: 'shop', password: 'secret' }],
    ['redis://shop:p%40ss%2Fw%25rd@h', { host: 'h', port: 6379, username: 'shop', password: 'p@ss/w%rd' }],
    ['rediss://h:6380', { host: 'h', port: 6380, tls: {} }],
    ['unix:///run/redis.sock', { path: '/run/redis.sock' }],
    ['unix:///run/my%20redis.sock?db=2', { path: '/run/my redis.sock', db: 2 }],
  ])('%s', (url, options) => {
    expect(parseRedisAddress(url)).toEqual(options)
  })

  test('options as they are, in an object of its own', () => {
    const options = { host: 'h', port: 1, tls: { servername: 'x' } }
    expect(parseRedisAddress(options)).toEqual(options)
    expect(parseRedisAddress(options)).not.toBe(options)
  })

  test('any user and password that the URL encodes', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' })
    fc.assert(
      fc.property(text, text, (username, password) => {
        const url = `redis://${encodeURIComponent(username)}:${encodeURIComponent(password)}@h`
        expect(parseRedisAddress(url)).toEqual({ host: 'h', port: 6379, username, password })
      }),
    )
  })
})

describe('parseRedisAddress refuses, with INVALID_OPTIONS,', () => {
  test.each([
    ['an empty string', ''],
    ['a host and a port', 'localhost:6379'],
    ['a host and a port that look like our protocol', 'redis:6379'],
    ['a host alone', 'localhost'],
    ['another protocol', 'http://h:6379'],
    ['a port that is none', 'redis://h:99999'],
    ['a database that is no number', 'redis://h/orders'],
    ['a socket with a host before its path', 'unix://run/redis.sock'],
    ['a percent sign that encodes nothing', 'redis://:100%@h'],
  ])('%s', (_, url) => {
    expect(() => parseRedisAddress(url)).toThrow(
      expect.objectContaining({ name: 'OrderExpiryError', code: 'INVALID_OPTIONS' }),
    )
  })
})

describe('a password', () => {
  test.each([
    'http://shop:hunter2@h:6379',
    'redis://shop:hunter2@h/orders',
    'redis://shop:hunter2@h:99999',
    'redis://shop:hunter2%@h',
    'redis://shop:/hunter2@h', // not encoded: the URL ends its host at the slash
    'redis://shop:1/hunter2@h',
    'hunter2@h:6379',
    'shop:hunter2@h:6379',
  ])('is not in the message about %s', (url) => {
    let message = 'taken'
    try {
      parseRedisAddress(url)
    } catch (error) {
      message = String(error)
    }
    expect(message).not.toBe('taken')
    expect(message).not.toContain('hunter2')
  })

  test.each<[address: Parameters<typeof describeRedisAddress>[0], shown: string]>([
    ['redis://shop:hunter2@redis.internal:6380/1', 'redis.internal:6380'],
    ['rediss://:hunter2@h', 'h:6379'],
    ['unix:///run/redis.sock', 'unix:/run/redis.sock'],
    [{ host: 'h', port: 7000, username: 'shop', password: 'hunter2' }, 'h:7000'],
    [{ password: 'hunter2' }, '127.0.0.1:6379'],
    [
      { sentinels: [{ host: 'a' }, { host: 'b', port: 7 }], name: 'shop', sentinelPassword: 'hunter2' },
      'the primary shop of a:26379, b:7',
    ],
  ])('is not in the description of %p', (address, shown) => {
    expect(describeRedisAddress(address)).toBe(shown)
  })

  test.each([
    new Error('connect ECONNREFUSED 10.0.0.1:6379'),
    Object.assign(new Error('WRONGPASS invalid username-password pair'), { name: 'ReplyError' }),
    'a string',
  ])('is not in what is said about %p', (error) => {
    const { message } = asRedisError(error, 'redis://shop:hunter2@h:6379')
    expect(message).toContain('h:6379')
    expect(message).not.toContain('hunter2')
  })
})

describe('asRedisError', () => {
  const url = 'redis://h'
  const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

  test.each(['WRONGPASS invalid', 'NOAUTH Authentication required.', 'NOPERM no'])(
    'is REDIS_REFUSED for %j, which no other attempt will change',
    (message) => {
      const cause = reply(message)
      expect(asRedisError(cause, url)).toMatchObject({ code: 'REDIS_REFUSED', retryable: false, cause })
    },
  )

  test.each([new Error('Connection is closed.'), reply('LOADING Redis is loading'), reply('READONLY x'), 'gone'])(
    'is REDIS_UNAVAILABLE for %p',
    (cause) => {
      expect(asRedisError(cause, url)).toMatchObject({ code: 'REDIS_UNAVAILABLE', retryable: true, cause })
    },
  )

  test('names the kind of an error that says nothing', () => {
    expect(asRedisError(new AggregateError([], ''), url).message).toContain('AggregateError')
  })

  test('leaves our own errors alone', () => {
    const error = new OrderExpiryError('CLOSED', 'closed')
    expect(asRedisError(error, url)).toBe(error)
  })
})

describe('a Connection explains', () => {
  const closed = new Error('Connection is closed.')
  const open = () => new Connection({ address: 'redis://h', profile: producerProfile('redis://h', 1_000) })

  test('a closed connection by the reason why it is closed, until it is there again', () => {
    const connection = open()
    expect(connection.explain(closed).message).toContain('Connection is closed.')
    connection.redis.emit('error', new Error('connect ECONNREFUSED'))
    expect(connection.explain(closed)).toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringContaining('connect ECONNREFUSED'),
    })
    connection.redis.emit('ready')
    expect(connection.explain(closed).message).toContain('Connection is closed.')
  })

  test('an answer of Redis by the answer, whatever went wrong before', () => {
    const connection = open()
    connection.redis.emit('error', new Error('connect ECONNREFUSED'))
    const refusal = Object.assign(new Error('NOPERM no'), { name: 'ReplyError' })
    expect(connection.explain(refusal)).toMatchObject({
      code: 'REDIS_REFUSED',
      message: expect.stringContaining('NOPERM'),
    })
  })
})

describe('the connection', () => {
  const url = 'redis://:secret@h:7000'

  test('of a producer gives up within its time', () => {
    expect(producerProfile(url, 1_500)).toMatchObject({
      host: 'h',
      password: 'secret',
      connectTimeout: 1_500,
      commandTimeout: 1_500,
      maxRetriesPerRequest: 1,
      lazyConnect: true,
    })
  })

  test('of a producer does nothing later that the caller has been told has failed', () => {
    expect(producerProfile(url, 1_500)).toMatchObject({
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
    })
  })

  test('of a worker waits out every outage, and notices a dead socket within 2 s', () => {
    const profile = workerProfile(url)
    expect(profile).toMatchObject({ host: 'h', maxRetriesPerRequest: null })
    expect(profile.commandTimeout).toBeUndefined()
    expect(profile.socketTimeout).toBeGreaterThan(1_000) // what a Redis may take that is only slow
    expect(profile.socketTimeout).toBeLessThan(2_000)
  })

  test('of a single command gives up within its time, and notices a dead socket', () => {
    const profile = commandProfile(url, 2_000)
    expect(profile).toMatchObject({ commandTimeout: 2_000, maxRetriesPerRequest: 1 })
    expect(profile.socketTimeout).toBeGreaterThan(0)
  })

  test.each([
    ['producer', producerProfile(url, 1)],
    ['worker', workerProfile(url)],
  ])('of a %s comes back within a second, however long Redis was away', (_, profile) => {
    for (const attempt of [1, 2, 10, 1_000, 1_000_000]) {
      const wait = profile.retryStrategy?.(attempt)
      expect(wait).toBeGreaterThan(0)
      expect(wait).toBeLessThanOrEqual(1_000)
    }
  })

  test('is made anew when a failover has left it with a replica, once for all the commands that fail of it', () => {
    const { reconnectOnError } = workerProfile(url)
    const readOnly = new Error("READONLY You can't write against a read only replica.")
    expect(reconnectOnError?.(readOnly)).toBe(1)
    expect(reconnectOnError?.(readOnly)).toBe(false)
    expect(reconnectOnError?.(new Error('ERR unknown command'))).toBe(false)
  })
})

test.each([
  ['rediss', /if it does not speak TLS on this port, write redis:\/\//],
  ['redis', /cannot be used now \(Command timed out\); try again/],
])('a server that has never said anything to %s:// may not understand it', async (protocol, told) => {
  const mute = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(mute, 'listening')
  const address = `${protocol}://127.0.0.1:${(mute.address() as AddressInfo).port}`
  const connection = new Connection({ address, profile: { ...commandProfile(address, 300), connectTimeout: 5_000 } })
  try {
    await expect(connection.ask(() => connection.redis.ping())).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringMatching(told),
    })
  } finally {
    connection.close()
    mute.close()
  }
})
