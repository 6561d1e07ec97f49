import { describe, expect, test } from '@jest/globals'
import { lookAtCertificate, tlsFinding } from '../../../src/doctor/tls-finding.ts'

const levelOf = (host: string | undefined, isEncrypted: boolean, isVerified: boolean) =>
  tlsFinding({ code: 'redis-tls', host, protection: { isEncrypted, isVerified }, encrypt: 'x', verify: 'y' }).level

describe('plaintext', () => {
  test.each([undefined, '/run/redis.sock', 'localhost', '127.0.0.1', '127.1.2.3', '::1'])(
    'to this machine is fine: %s',
    (host) => {
      expect(levelOf(host, false, false)).toBe('ok')
    },
  )
  test.each([
    'redis',
    'redis.shop.svc.cluster.local',
    'db.internal',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    'fd00::1',
  ])('within a private network is told: %s', (host) => {
    expect(levelOf(host, false, false)).toBe('info')
  })
  test.each(['redis.example.com', '8.8.8.8', '172.32.0.1', '2001:db8::1', '127.0.0.1.example.com'])(
    'to another host is a warning: %s',
    (host) => {
      expect(levelOf(host, false, false)).toBe('warning')
    },
  )
})

test('TLS without verification is a warning, but for this machine; with it, all is well', () => {
  expect(levelOf('db.example.com', true, false)).toBe('warning')
  expect(levelOf('10.0.0.1', true, false)).toBe('warning')
  expect(levelOf('localhost', true, false)).toBe('ok')
  expect(levelOf('db.example.com', true, true)).toBe('ok')
})

test('what shows the certificate asks for the same name as we do', () => {
  const named = lookAtCertificate({ host: 'h', port: 6380, servername: 'db.example', prefix: 'REDIS' })
  expect(named).toContain('-connect h:6380 -servername db.example -verify_hostname db.example')
  const numbered = lookAtCertificate({
    host: '::1',
    port: 1,
    servername: undefined,
    prefix: 'DATABASE',
    protocol: 'postgres',
  })
  expect(numbered).toContain('-connect [::1]:1 -starttls postgres -verify_ip ::1')
})
