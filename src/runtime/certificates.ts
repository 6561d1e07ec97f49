import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import { isNativeError } from 'node:util/types'

/** Paths of PEM files: the CAs that may have signed the server's certificate, and a certificate of ours with its key. */
export interface TlsFiles {
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
}

/**
 * What `tls.connect` takes for these files, read again for each connection: whoever renews certificates replaces the files. Drivers
 * copy its fields when they connect; a copy made earlier would stay as it is.
 */
export function tlsOptions(files: TlsFiles): { readonly secureContext: SecureContext } {
  let known: { texts: (string | undefined)[]; context: SecureContext } | undefined
  const read = () => {
    const texts = [files.ca, files.cert, files.key].map((path) => path && readFileSync(path, 'utf8'))
    if (known?.texts.every((text, n) => text === texts[n])) return known
    const [ca, cert, key] = texts
    return { texts, context: createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }) }
  }
  known = read()
  return {
    get secureContext() {
      try {
        known = read()
      } catch (error) {
        // A file that is being replaced, or a certificate whose key is still the old one.
        if (!known) throw error
      }
      return (known as { context: SecureContext }).context
    },
  }
}

/** What is wrong with the files, a line each that begins with the setting `${prefix}_TLS_…`. */
export function certificateProblems(prefix: string, files: TlsFiles): string[] {
  const name = (part: keyof TlsFiles) => `${prefix}_TLS_${part.toUpperCase()}_FILE`
  const problems: string[] = []
  const parse = <T>(part: keyof TlsFiles, expected: string, as: (pem: string) => T): T | undefined => {
    const path = files[part]
    if (path === undefined) return undefined
    try {
      return as(readFileSync(path, 'utf8'))
    } catch (error) {
      const { code = 'unreadable' } = error as NodeJS.ErrnoException
      problems.push(`${name(part)}: expected a readable file with ${expected}, given ${JSON.stringify(path)} (${code})`)
      return undefined
    }
  }
  parse('ca', 'certificates in PEM', firstCertificate)
  const cert = parse('cert', 'a certificate in PEM', firstCertificate)
  const key = parse('key', 'a private key in PEM, without a passphrase', createPrivateKey)
  if (files.cert && !files.key) problems.push(`${name('key')}: expected with ${name('cert')}, given none`)
  if (files.key && !files.cert) problems.push(`${name('cert')}: expected with ${name('key')}, given none`)
  if (cert && key && !cert.checkPrivateKey(key)) {
    problems.push(`${name('key')}: expected the key of the certificate in ${name('cert')}, given another one`)
  }
  if (problems.length === 0) parse(cert ? 'cert' : 'ca', 'what OpenSSL takes', () => tlsOptions(files))
  return problems
}

/** What a caller calls what it gives, for the texts of errors. */
export type TlsNames = Record<'url' | 'servername' | 'ca' | 'cert' | 'key', string>

/** @param prefix of settings: `REDIS` or `DATABASE` */
export function tlsSettings(prefix: string): TlsNames {
  const file = (part: string) => `${prefix}_TLS_${part}_FILE`
  const servername = `${prefix}_TLS_SERVERNAME`
  return { url: `${prefix}_URL`, servername, ca: file('CA'), cert: file('CERT'), key: file('KEY') }
}

/** All are read: of several CAs, OpenSSL leaves out in silence those behind one that is damaged. */
function firstCertificate(pem: string): X509Certificate {
  const [first = pem, ...others] = pem.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----[\s\S]*?(?=-----BEGIN|$)/g) ?? []
  for (const other of others) new X509Certificate(other)
  return new X509Certificate(first)
}

/** What is told apart, by the code of Node or OpenSSL. https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const TROUBLES: { code: RegExp; what: string; remedy: (names: TlsNames) => string }[] = [
  {
    code: /^(ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)$/,
    what: 'its certificate is for another name',
    remedy: ({ url, servername }) => `write a name of the certificate in ${url}, or set ${servername} to it`,
  },
  {
    code: /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    what: 'its certificate is not valid now',
    remedy: () => 'renew it on the server, or set the clock of this machine',
  },
  {
    code: /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_|PATH_LENGTH_)/,
    what: 'its certificate comes from a CA that is not trusted here',
    remedy: ({ ca }) => `set ${ca} to ${/_FILE$/.test(ca) ? 'the file with ' : ''}the certificate of that CA`,
  },
  {
    code: /^ERR_SSL_.*ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/,
    what: 'it wants a certificate from us',
    remedy: ({ cert, key }) => `set ${cert} and ${key}`,
  },
  {
    code: /^ERR_SSL_.*ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/,
    what: 'it refuses our certificate',
    remedy: ({ cert, key }) => `set ${cert} and ${key} to one from a CA that the server trusts`,
  },
  {
    code: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL)$/,
    what: 'it does not speak TLS on this port',
    remedy: ({ url }) => `correct the port in ${url}, or write it without TLS`,
  },
  {
    code: /^ERR_SSL_.*(PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|DH_KEY_TOO_SMALL|KEY_TOO_SMALL|DIGEST)/,
    what: 'it offers only old versions or ciphers of TLS',
    remedy: () => 'turn on TLS 1.2 or 1.3 on the server',
  },
]

/**
 * Why a connection was refused by either side for what TLS is there for: no other attempt will change that. Undefined for anything else,
 * as for an outage.
 */
export function tlsTrouble(error: unknown, names: TlsNames): { what: string; remedy: string } | undefined {
  const { code, message } = isNativeError(error) ? (error as NodeJS.ErrnoException) : {}
  const trouble = TROUBLES.find((one) => one.code.test(String(code)))
  if (!trouble) return undefined
  // What OpenSSL says is a path through its source.
  const why = String(code).startsWith('ERR_SSL_') ? String(code) : message
  return { what: `${trouble.what} (${why})`, remedy: trouble.remedy(names) }
}
