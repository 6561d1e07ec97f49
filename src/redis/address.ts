import { isIP } from 'node:net'
import type { RedisOptions } from 'ioredis'
import { type TlsFiles, type TlsNames, tlsOptions, tlsSettings } from '../runtime/certificates.ts'
import { parseRedisUrl } from './url.ts'

/** Where Redis is: a URL (`redis://`, `rediss://`, `unix:///path/to.sock`) or ioredis options. */
export type RedisAddress = string | RedisProfile

/** Everything of ioredis' options but the shape of replies, on which we and BullMQ rely. */
export type RedisProfile = Omit<RedisOptions, 'replyMapping'>

/** What a caller calls what it gives, for the texts of errors, and how it asks for TLS. */
export type RedisNames = TlsNames & Record<'withTls' | 'withoutTls', string>

/** The names of the daemon's settings. */
export const REDIS_SETTINGS: RedisNames = {
  ...tlsSettings('REDIS'),
  withTls: 'write rediss:// in REDIS_URL',
  withoutTls: 'write redis:// in REDIS_URL',
}

/** ioredis options for an address. @throws {OrderExpiryError} INVALID_OPTIONS, without the password */
export function parseRedisAddress(address: RedisAddress, names: TlsNames = REDIS_SETTINGS): RedisProfile {
  return typeof address === 'string' ? parseRedisUrl(address, names) : { ...address }
}

/** The address with certificates from files, for a URL with TLS. @param options.servername in the server's certificate */
export function withCertificates(
  address: RedisAddress,
  { servername, ...files }: TlsFiles & { servername?: string | undefined },
): RedisAddress {
  const profile = parseRedisAddress(address)
  const name = servername ?? serverName(profile)
  // Defined, not spread: the files are read again for each connection.
  const tls = Object.defineProperties({}, {
    ...Object.getOwnPropertyDescriptors(profile.tls),
    ...Object.getOwnPropertyDescriptors(tlsOptions(files)),
    ...(name && Object.getOwnPropertyDescriptors({ servername: name })),
  } as PropertyDescriptorMap)
  return { ...profile, tls }
}

/** The name by which a server with several certificates is asked for its own (SNI), which ioredis does not send by itself. */
export function serverName({ host }: RedisProfile): string | undefined {
  return host && isIP(host) === 0 ? host : undefined
}

/** Where an address points to, for people: no user, no password. */
export function describeRedisAddress(address: RedisAddress): string {
  const { path, host = '127.0.0.1', port = 6379, sentinels, name } = parseRedisAddress(address)
  if (sentinels)
    return `the primary ${name} of ${sentinels.map(({ host, port = 26_379 }) => `${host}:${port}`).join(', ')}`
  return path ? `unix:${path}` : `${host}:${port}`
}
