import { describe, expect, test } from '@jest/globals'
import { describeRedisAddress, parseRedisAddress } from '../../../src/redis/address.ts'
import { commandProfile } from '../../../src/redis/profiles.ts'

describe('what clients and platforms write is taken', () => {
  test.each<[url: string, options: object]>([
    ['redis://default:pw@redis.railway.internal:6379?family=0', { username: 'default', password: 'pw', family: 0 }],
    ['redis://h:6379/0?family=6', { db: 0, family: 6 }],
    ['redis://h:6379/2/', { db: 2 }],
    ['redis://h?db=3', { db: 3 }],
    ['redis://h?user=shop&password=p%40ss', { username: 'shop', password: 'p@ss' }],
    ['rediss://:pw@h:6380?ssl_cert_reqs=none', { password: 'pw', tls: { rejectUnauthorized: false } }],
    ['rediss://h?ssl_cert_reqs=CERT_REQUIRED', { tls: {} }],
    ['redis://h?tls=true', { tls: {} }],
    ['redis://h?ssl=false', { host: 'h' }],
    ['rediss://h?tls=true&protocol=3&socket_timeout=5&client_name=shop', { tls: {} }],
    ['valkey://h:6379', { host: 'h', port: 6379 }],
    ['valkeys://default:pw@h.aivencloud.com:12345', { host: 'h.aivencloud.com', tls: {} }],
    ['REDISS://h', { tls: {} }],
  ])('%s', (url, options) => {
    expect(parseRedisAddress(url)).toMatchObject(options)
  })
})

describe('anything else is refused with how to write it, and no part of it', () => {
  const SECRET = 'hunter2'
  test.each<[given: string, advice: RegExp]>([
    [`redis://:p@ss/${SECRET}#rd@host`, /percent-encoded: write %2F for \//],
    [`redis://:${SECRET}/x@host`, /percent-encoded/],
    [`redis://:${SECRET}#x@host`, /%23 for #/],
    [`redis://:x?${SECRET}@host`, /%3F for \?/],
    [`redis://:${SECRET}%@host`, /%25 for %/],
    [
      `shop.redis.cache.windows.net:6380,password=${SECRET}=,ssl=True,abortConnect=False`,
      /write rediss:\/\/:password@host:6380/,
    ],
    [`{"host": "h", "password": "${SECRET}"}`, /URL alone/],
    [`"redis://:${SECRET}@h"`, /quotes/],
    [`redis-cli --tls -u redis://:${SECRET}@h`, /URL alone, with rediss:\/\//],
    [`https://h.upstash.io?token=${SECRET}`, /HTTP API/],
    [`jdbc:redis://:${SECRET}@h`, /JDBC/],
    [`redis+sentinel://:${SECRET}@h`, /address of the primary/],
    [`redis://:${SECRET}@h:1,i:2`, /several hosts/],
    ['h:6379', /begin with redis:\/\//],
    ['/run/redis.sock', /unix:\/\/\/path/],
    ['', /empty/],
    [`redis://h?${SECRET}=1`, /no effect/],
    ['redis://h?ssl_ca_certs=/ca.pem', /REDIS_TLS_CA_FILE/],
    ['rediss://h?tls=false', /TLS both wanted/],
    ['redis://h?ssl_cert_reqs=none', /begin with rediss/],
    ['redis://h?family=5', /0 \(any\), 4 or 6/],
    ['redis://h/1?db=2', /two databases/],
    [`redis://:${SECRET}@h:port`, /host or a port/],
    [' redis://h', /space/],
  ])('%s', (given, advice) => {
    let message = ''
    try {
      parseRedisAddress(given)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toMatch(/^expected redis:\/\//)
    expect(message).toMatch(advice)
    expect(message).not.toContain(SECRET)
  })
})

test('a server is asked for the certificate of its host, unless that is a number or another name is given', () => {
  expect(commandProfile('rediss://db.example', 1_000).tls).toEqual({ servername: 'db.example' })
  expect(commandProfile('rediss://10.0.0.1', 1_000).tls).toEqual({})
  expect(commandProfile({ host: 'db.example', tls: { servername: 'x' } }, 1_000).tls).toEqual({ servername: 'x' })
  expect(describeRedisAddress('rediss://db.example?ssl_cert_reqs=none')).toBe('db.example:6379')
})
