import { isIP } from 'node:net'
import { type Finding, type FindingCode, finding, ok } from './finding.ts'

/**
 * What follows from how we connect to `host`.
 *
 * @param options.host undefined, or a path: a socket of this machine
 * @param options.protection nobody can read the connection, and the server has shown who it is
 * @param options.encrypt what to change in the settings to get TLS
 * @param options.verify what to change in the settings to have the server's certificate verified
 */
export function tlsFinding(options: {
  code: FindingCode
  host: string | undefined
  protection: { isEncrypted: boolean; isVerified: boolean }
  encrypt: string
  verify: string
}): Finding {
  const { code, host, protection, encrypt, verify } = options
  const { isEncrypted, isVerified } = protection
  if (isEncrypted && isVerified) return ok(code, 'TLS, with the certificate of the server verified')
  if (isOfThisMachine(host)) return ok(code, `${isEncrypted ? 'TLS' : 'no TLS'}, on this machine`)
  if (isEncrypted) {
    return finding('warning', code, {
      what: 'TLS, but the certificate of the server is not verified',
      meaning: `Whoever is between this machine and ${host} can pose as the server: read the password, and read and change orders.`,
      fix: `# ${verify}`,
    })
  }
  return finding(isPrivate(host) ? 'info' : 'warning', code, {
    what: `no TLS: everything goes to ${host} in plaintext, the password too`,
    meaning: isPrivate(host)
      ? 'It is a name or an address of a private network: in order if you trust everybody there.'
      : 'Whoever is in between can read the password and the orders, and change them.',
    fix: `# ${encrypt}`,
  })
}

/** Shows what the server says of its certificate, by the same rules as ours. @param options.protocol `postgres`, which begins in plaintext */
export function lookAtCertificate(options: {
  host: string
  port: number
  servername: string | undefined
  prefix: string
  protocol?: string
}): string {
  const { host, port, servername = host, prefix, protocol } = options
  const verified = isIP(servername)
    ? `-verify_ip ${servername}`
    : `-servername ${servername} -verify_hostname ${servername}`
  const address = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
  const start = protocol ? ` -starttls ${protocol}` : ''
  // An empty CAfile is refused: without the setting, the system's own are asked.
  const ca = `\${${prefix}_TLS_CA_FILE:+-CAfile "$${prefix}_TLS_CA_FILE"}`
  return `openssl s_client -connect ${address}${start} ${verified} -verify_return_error ${ca} </dev/null`
}

function isOfThisMachine(host: string | undefined): boolean {
  if (host === undefined || host.startsWith('/') || host.startsWith('@')) return true
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/i.test(host)
}

/** By its name or number alone: names without a dot are resolved within a cluster or a network of containers. */
function isPrivate(host = ''): boolean {
  if (isIP(host) === 0)
    return !host.includes('.') || /\.(internal|local|lan|svc|home\.arpa|localdomain)\.?$/i.test(host)
  return /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd]|fe[89ab])/i.test(
    host,
  )
}
