import { describe, expect, test } from '@jest/globals'
import { createPathReader, frontOf } from '../../../src/http/front.ts'

function front(publicUrl?: string, networks?: string[]) {
  return frontOf({
    PUBLIC_URL: publicUrl,
    TRUSTED_PROXY: networks,
    TRUSTED_PROXY_USER_HEADER: undefined,
    TRUSTED_PROXY_OPERATORS: undefined,
  })
}

test.each([
  [undefined, { origin: undefined, base: '' }],
  ['https://ops.example.com', { origin: 'https://ops.example.com', base: '' }],
  ['https://ops.example.com/order-expiry', { origin: 'https://ops.example.com', base: '/order-expiry' }],
  ['http://ops:8080/a/b', { origin: 'http://ops:8080', base: '/a/b' }],
])('of PUBLIC_URL %s, links begin with its path', (publicUrl, expected) => {
  expect(front(publicUrl)).toMatchObject(expected)
})

describe('a proxy', () => {
  const { isTrusted } = front(undefined, ['10.1.0.0/16', '127.0.0.0/8', 'fd00::/8', '::1/128'])

  test.each(['10.1.2.3', '::ffff:10.1.2.3', '127.0.0.1', '::1', 'fd12::7', '10.1.2.3:51234', '[fd12::7]:443', '[::1]'])(
    'at %s is trusted',
    (address) => {
      expect(isTrusted(address)).toBe(true)
    },
  )

  test.each([
    '10.2.0.1',
    '::ffff:10.2.0.1',
    'fe80::1%eth0',
    '',
    undefined,
    'unknown',
    '10.1.2.3, 10.2.0.1',
    '10.2.0.1:80',
    '[::1',
    '10.1.2.3:x',
  ])('at %s is not', (address) => {
    expect(isTrusted(address)).toBe(false)
    expect(front().isTrusted(address)).toBe(false)
  })
})

describe('a path', () => {
  const OF_ROOT: [string, string][] = [
    ['/', '/'],
    ['/v1/orders/A-1?x=//y', '/v1/orders/A-1?x=//y'],
    ['//v1/orders/A-1', '/v1/orders/A-1'],
    ['//v1//orders/A-1', '/v1/orders/A-1'],
    ['/board//api/queues', '/board/api/queues'],
    ['/v1/orders/A//1', '/v1/orders/A//1'],
    ['/v1/orders//A', '/v1/orders//A'],
    ['/orders/A//', '/orders/A//'],
    ['/v1/orders/A%2F1', '/v1/orders/A%2F1'],
    ['http://ops.example.com/v1/forecast', '/v1/forecast'],
    ['http://ops.example.com', '/'],
    ['/?id=1', '/?id=1'],
  ]
  test.each(OF_ROOT)('%s means %s', (url, expected) => {
    expect(createPathReader({ base: '' })(url)).toBe(expected)
  })

  test.each([
    ...OF_ROOT,
    ['/ops.x/expiry', '/'],
    ['/ops.x/expiry/', '/'],
    ['/ops.x/expiry?id=1', '/?id=1'],
    ['//ops.x//expiry//v1/orders/A-1', '/v1/orders/A-1'],
    ['/ops.x/expiry/v1/orders/A//1', '/v1/orders/A//1'],
    ['/ops.x/expiry2/board', '/ops.x/expiry2/board'],
    ['/opsyx/expiry/board', '/opsyx/expiry/board'],
    ['/ops.x/expiry/ops.x/expiry/board', '/ops.x/expiry/board'],
  ])('below /ops.x/expiry, %s means %s', (url, expected) => {
    expect(createPathReader({ base: '/ops.x/expiry' })(url)).toBe(expected)
  })
})
