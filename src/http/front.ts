import { BlockList, isIP } from 'node:net'

/** What stands between the users and this server, as far as the settings say. */
export interface Front {
  /** What users type before each path: PUBLIC_URL without a slash at its end, or nothing. */
  publicUrl: string
  /** Of PUBLIC_URL, such as `https://ops.example.com`; undefined: not known. */
  origin: string | undefined
  /** Of PUBLIC_URL, such as `/order-expiry`, or nothing. Every link begins with it. */
  base: string
  /** Whether what this address says of a request's way is believed. */
  isTrusted(address: string | undefined): boolean
  /** In lower case. Undefined: no proxy says who somebody is. */
  userHeader: string | undefined
  /** Whom a proxy may name that are operators. */
  operators: readonly string[]
}

/** @param settings as `config.ts` has them */
export function frontOf(settings: {
  PUBLIC_URL: string | undefined
  TRUSTED_PROXY: readonly string[] | undefined
  TRUSTED_PROXY_USER_HEADER: string | undefined
  TRUSTED_PROXY_OPERATORS: readonly string[] | undefined
}): Front {
  const { PUBLIC_URL: publicUrl = '', TRUSTED_PROXY: networks = [] } = settings
  const trusted = new BlockList()
  for (const network of networks) {
    const [address = '', length] = network.split('/')
    trusted.addSubnet(address, Number(length), familyOf(address))
  }
  const { origin, pathname } = publicUrl ? new URL(publicUrl) : {}
  return {
    publicUrl,
    origin,
    base: pathname?.replace(/\/$/, '') ?? '',
    isTrusted(given = '') {
      const [address = ''] = withoutPort(given).split('%') // a zone is none of the address
      return isIP(address) !== 0 && trusted.check(address, familyOf(address))
    },
    userHeader: settings.TRUSTED_PROXY_USER_HEADER,
    operators: settings.TRUSTED_PROXY_OPERATORS ?? [],
  }
}

/** Some proxies write one behind an address in `X-Forwarded-For`: `203.0.113.7:51234`, `[2001:db8::7]:51234`. */
export function withoutPort(address: string): string {
  const [, v6, v4] = /^(?:\[(.+)\]|([\d.]+))(?::\d+)?$/.exec(address) ?? []
  return v6 ?? v4 ?? address
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

/**
 * The path that a request means, whether the proxy has taken `base` away or not, and however many slashes it has put
 * together. An order id keeps its own: with one less it would be another order.
 */
export function createPathReader({ base }: Pick<Front, 'base'>): (url: string) => string {
  const steps = base.split('/').slice(1)
  const prefix = new RegExp(`^${steps.map((step) => `/+${patternOf(step)}`).join('')}(?=/|$)`)
  return (url) => {
    const [, given = '', query = ''] = /^(?:https?:\/\/[^/?]*)?([^?]*)(.*)$/is.exec(url) ?? []
    const path = given.replace(prefix, '') || '/'
    const [, way = path, orderId = ''] = /^((?:\/+v1)?\/+orders\/)(.*)$/s.exec(path) ?? []
    return way.replace(/\/{2,}/g, '/') + orderId + query
  }
}

function patternOf(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
