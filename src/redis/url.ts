import type { RedisOptions } from 'ioredis'
import { OrderExpiryError } from '../errors.ts'
import type { TlsNames } from '../runtime/certificates.ts'

/** Who writes what else, and how it is to be written. None of them is shown: whatever is wrong, a part of it can be the password. */
const OTHER_FORMS: [form: RegExp, what: string][] = [
  [/^\s*$/, 'an empty text'],
  [/^\s|\s$/, 'a space or a line break before or after the URL: leave it out'],
  [/[\t\r\n]/, 'a tab or a line break, which a URL leaves out: percent-encode it'],
  [/^["'{[]/, 'quotes or JSON: write the URL alone'],
  [/:(["'`])[^@]+\1@/, 'a password in quotes: leave them out, or percent-encode those that belong to it'],
  [/^jdbc:/i, 'a URL for JDBC: leave out what precedes redis://'],
  [/^redis-cli\s/, 'a command: write its URL alone, with rediss:// where the command has --tls'],
  [/^https?:/i, 'the address of an HTTP API: take the URL for Redis clients from the same page'],
  [/^redis[+-](sentinel|cluster)/i, 'Sentinel or Cluster, which do not work yet: write the address of the primary'],
  [
    /^[^/?#@,]+,.*\b(password|ssl|abortConnect|user)=/i,
    "the form of .NET (host:6380,password=…,ssl=True): write rediss://:password@host:6380, with the password's special characters percent-encoded",
  ],
  [/^\/\w/, 'a path: write unix:///path/to/redis.sock'],
  [/^[\w.-]+(:\d+)?(\/\d*)?$/, 'no protocol: begin with redis://, or with rediss:// for TLS'],
]

const PERCENT_ENCODE =
  'special characters in the user or the password that are not percent-encoded: write %2F for /, %3F for ?, %23 for #, %40 for @, %25 for %'

/** What clients and platforms write after `?`; what only tunes another client has no effect here. */
const PARAMETERS = ['db', 'family', 'tls', 'ssl', 'ssl_cert_reqs', 'username', 'user', 'password'] as const
type Parameters = Partial<Record<(typeof PARAMETERS)[number], string>>
const TUNING =
  /^(protocol|client_?name|timeout|(socket_|connect_?|command_?)(connect_)?timeout|health_check_interval|socket_keepalive|retry_on_timeout|decode_responses|max_connections|maxRetriesPerRequest|keepAlive|enableReadyCheck|lazyConnect|allowUsernameInURI|abortConnect|ssl_check_hostname)$/i

/** ioredis options for a URL. @throws {OrderExpiryError} INVALID_OPTIONS, without any part of the URL */
export function parseRedisUrl(text: string, names: TlsNames): RedisOptions {
  const other = OTHER_FORMS.find(([form]) => form.test(text))
  if (other) throw invalid(other[1])
  const protocol = /^(rediss?|valkeys?|unix):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (!protocol) throw invalid('something else')
  const isUnix = protocol === 'unix'
  if (!isUnix && isAmbiguous(text)) throw invalid(PERCENT_ENCODE)
  if (/^[^/]+:\/\/([^/?#]*@)?[^/?#@]*,/.test(text)) throw invalid('several hosts: write the address of the primary')
  if (!URL.canParse(text)) throw invalid('a host or a port that is none')
  const url = new URL(text)
  if (isUnix && url.host) throw invalid('something else')
  if (url.hash) throw invalid('a fragment (#…), which would have no effect')
  if (url.port === '0') throw invalid('port 0')
  const given = readParameters(url, names)
  return {
    ...(isUnix
      ? { path: decode(url.pathname) }
      : { host: url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1', port: Number(url.port) || 6379 }),
    ...credentials(url, given),
    ...database(isUnix ? '' : url.pathname.replace(/^\/|\/$/g, ''), given.db),
    ...(given.family !== undefined && { family: familyOf(given.family) }),
    ...tlsOf(isSecure(protocol, given), given),
  }
}

/** What precedes the last "@" ends, by the rules of URLs, before that "@". */
function isAmbiguous(text: string): boolean {
  const rest = text.slice(text.indexOf('://') + 3)
  const end = rest.search(/[/?#]/)
  return end !== -1 && rest.indexOf('@', end) !== -1
}

function readParameters(url: URL, { ca, cert, key }: TlsNames): Parameters {
  const given: Record<string, string> = {}
  for (const [name, value] of url.searchParams) {
    if (TUNING.test(name)) continue
    if (/^((ssl|tls)_?(ca|cert|key)(_?(certs|path|data|file))?|cacert)$/i.test(name)) {
      throw invalid(`files of certificates: set ${ca}, ${cert} and ${key} instead`)
    }
    if (!PARAMETERS.some((known) => known === name)) {
      throw invalid(`a query that would have no effect: leave it out (known are ${PARAMETERS.join(', ')})`)
    }
    if (given[name] !== undefined && given[name] !== value) throw invalid(`${name} twice in the query`)
    given[name] = value
  }
  return given
}

function credentials(url: URL, { user, username = user, password }: Parameters): RedisOptions {
  const name = url.username ? decode(url.username) : username
  const secret = url.password ? decode(url.password) : password
  return { ...(name && { username: name }), ...(secret && { password: secret }) }
}

function database(inPath: string, inQuery = ''): RedisOptions {
  if (!/^\d{0,9}$/.test(inPath) || !/^\d{0,9}$/.test(inQuery)) throw invalid('a database that is not a number')
  if (inPath && inQuery && Number(inPath) !== Number(inQuery)) throw invalid('two databases, in the path and as db=')
  const db = inPath || inQuery
  return db ? { db: Number(db) } : {}
}

function familyOf(text: string): number {
  if (!/^[046]$/.test(text)) throw invalid('a family that is none: write 0 (any), 4 or 6')
  return Number(text)
}

function isSecure(protocol: string, { tls, ssl = tls }: Parameters): boolean {
  const isTls = protocol === 'rediss' || protocol === 'valkeys'
  if (ssl === undefined) return isTls
  if (!/^(true|false|1|0)$/i.test(ssl)) throw invalid('ssl or tls in the query that is neither true nor false')
  const wanted = /^(true|1)$/i.test(ssl)
  if (isTls && !wanted) throw invalid(`TLS both wanted (${protocol}://) and not (in the query)`)
  return wanted
}

/** As redis-py has it. https://redis.readthedocs.io/en/stable/examples/ssl_connection_examples.html */
function tlsOf(isTls: boolean, { ssl_cert_reqs: wanted }: Parameters): RedisOptions {
  if (wanted === undefined) return isTls ? { tls: {} } : {}
  const [, how] = /^(?:CERT_)?(NONE|OPTIONAL|REQUIRED)$/i.exec(wanted) ?? []
  if (!how) throw invalid('ssl_cert_reqs that is neither required nor none')
  if (!isTls) throw invalid('ssl_cert_reqs without TLS: begin with rediss://')
  return { tls: how.toUpperCase() === 'NONE' ? { rejectUnauthorized: false } : {} }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('a percent sign that encodes nothing: write %25 for % in the user or the password')
  }
}

/** Never shows the URL: whatever is wrong with it, a part of it can be the password. */
function invalid(given: string): OrderExpiryError {
  const expected = 'redis://[user:password@]host[:port][/db], rediss://… or unix:///path'
  return new OrderExpiryError('INVALID_OPTIONS', `expected ${expected}, given ${given}`)
}
