import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/**
 * Networks that are not of the public internet: whoever may choose a receiver must not reach what is behind our own walls.
 * https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
 */
const PRIVATE = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/127', // unspecified and loopback
  '64:ff9b::/96', // stand for IPv4 addresses, as the next two
  '64:ff9b:1::/48',
  '2002::/16',
  '2001::/23',
  '2001:db8::/32',
  '100::/64',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]

const refused = new BlockList()
for (const network of PRIVATE) {
  const [address = '', length] = network.split('/')
  refused.addSubnet(address, Number(length), isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** Whether an IP address is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  const [bare = ''] = address.split('%')
  return !refused.check(bare, isIP(bare) === 6 ? 'ipv6' : 'ipv4')
}

/** Finds the addresses of a host, and refuses one that has a private one: names can lead anywhere, and change. */
export const lookUpPublic = lookUpOnly(
  isPublicAddress,
  (host) =>
    new AddressError('EPRIVATE', `${host} is within a private network; if it is meant, set WEBHOOK_ALLOW_PRIVATE=true`),
)

/** The same, the other way round: what goes there in plain text must not leave our own walls. */
export const lookUpPrivate = lookUpOnly(
  (address) => !isPublicAddress(address),
  (host) => new AddressError('EPUBLIC', `${host} is not within a private network; write its URL with https://`),
)

function lookUpOnly(isAllowed: (address: string) => boolean, refusal: (host: string) => AddressError): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '')
      const [first] = addresses
      if (!first || !addresses.every(({ address }) => isAllowed(address))) return callback(refusal(hostname), '')
      if (options.all) return callback(null, addresses)
      return callback(null, first.address, first.family)
    })
  }
}

/** The addresses of a host are not where they have to be. */
class AddressError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
