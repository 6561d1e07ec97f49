import { expect, test } from '@jest/globals'
import { isPublicAddress, lookUpPrivate, lookUpPublic } from '../../../src/runtime/public-addresses.ts'

test.each([
  '127.0.0.1',
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '192.168.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '64:ff9b::a00:1',
  '2002:a00:1::',
  'fd12::1',
  'fe80::1%eth0',
  'ff02::1',
])('%s is no address of the public internet', (address) => {
  expect(isPublicAddress(address)).toBe(false)
})

test.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '::ffff:1.1.1.1', '2606:4700::1111'])('%s is one', (address) => {
  expect(isPublicAddress(address)).toBe(true)
})

test('a name that leads to a private address is refused, whichever way it is looked up', async () => {
  for (const options of [{}, { all: true }, { family: 4 }]) {
    const error = await new Promise((resolve) => lookUpPublic('localhost', options, resolve))
    expect(error).toMatchObject({ code: 'EPRIVATE', message: expect.stringContaining('WEBHOOK_ALLOW_PRIVATE=true') })
  }
})

test('what is spoken in plain text is led into private networks only', async () => {
  const lookUp = (host: string) =>
    new Promise((resolve) => lookUpPrivate(host, { all: true }, (error, found) => resolve(error ?? found)))
  expect(await lookUp('localhost')).toContainEqual(expect.objectContaining({ address: '127.0.0.1' }))
  expect(await lookUp('1.1.1.1')).toMatchObject({ code: 'EPUBLIC', message: expect.stringContaining('https://') })
})
