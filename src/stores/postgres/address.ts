import type { TlsFiles } from '../../runtime/certificates.ts'
import { percentDecoded as decode } from '../../runtime/percent.ts'
import { quoteIdentifier } from './quoting.ts'

/** What DATABASE_URL says. */
export interface PostgresAddress {
  /** In the order in which they are tried. A host that begins with "/" is the folder of a socket; none: the driver's default. */
  hosts: { host: string | undefined; port: number | undefined }[]
  user: string | undefined
  password: string | undefined
  database: string | undefined
  sslmode: SslMode | undefined
  files: TlsFiles
  /** Only a server that takes writes is wanted. */
  needsWrites: boolean
  /** For a session's search_path. */
  schemas: string | undefined
  /** What the driver takes as it is. */
  driver: { application_name?: string; options?: string; sslnegotiation?: 'direct'; enableChannelBinding?: true }
}

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const
type SslMode = (typeof SSL_MODES)[number]

/** Who writes what else, and how it is to be written. None of them is shown: whatever is wrong, a part of it can be the password. */
const OTHER_FORMS: [form: RegExp, what: string][] = [
  [/^\s|\s$/, 'a space or a line break before or after the URL: leave it out'],
  [/[\t\r\n]/, 'a tab or a line break: percent-encode it'],
  [/\s#/, 'a # behind a space: put a comment on a line of its own, and percent-encode both in a password'],
  [/^["'{[]/, 'quotes or JSON: write the URL alone'],
  [/:(["'`])[^@]+\1@/, 'a password in quotes: leave them out, or percent-encode those that belong to it'],
  [/^jdbc:/i, 'a URL for JDBC: leave out "jdbc:", and write user and password before the host'],
  [/^psql\s/, 'a command: write its URL alone'],
  [/^postgres(ql)?\+\w+:/i, 'a URL that names a driver: leave out the "+" and the name after it'],
  [/^(prisma|prisma\+postgres):/i, 'the address of a proxy of Prisma: take the direct URL of the database'],
  [/^[\w ]+=.*/, 'a list of keywords (host=… or Host=…;): write it as a URL'],
]

const PERCENT_ENCODE =
  'special characters in the user, the password or the database that are not percent-encoded: write %2F for /, %3F for ?, %40 for @, %3A for :, %25 for %'

/** Of other clients, or of what is settled here: taken and without effect. */
const TUNING =
  /^(pgbouncer|connection_limit|pool_(timeout|size|mode|max_conns|min_conns|max_conn_lifetime)|(connect|socket)_?timeout|statement_cache_(size|mode)|prepared_?statements?|prepareThreshold|max_(idle|lifetime)\w*|client_encoding|fallback_application_name|keepalives\w*|tcp_user_timeout|gssencmode|krbsrvname|sslcompression|sslsni|load_balance_hosts|supa|workaround|binary_parameters|default_query_exec_mode|reWriteBatchedInserts|ApplicationName|tcpKeepAlive|loginTimeout|socketTimeout)$/i

const PARAMETERS =
  'host hostaddr port dbname user password application_name options schema currentSchema search_path target_session_attrs channel_binding ssl sslmode sslrootcert sslcert sslkey sslnegotiation sslaccept uselibpqcompat'.split(
    ' ',
  )

type Parameters = Record<string, string | undefined>

/**
 * Reads a URL as libpq does. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 *
 * @throws {Error} that says what is expected and how to write it, without any part of the URL
 */
export function parsePostgresAddress(text: string): PostgresAddress {
  const other = OTHER_FORMS.find(([form]) => form.test(text))
  if (other) throw invalid(other[1])
  const [, rest] = /^postgres(?:ql)?:\/\/(.*)$/is.exec(text) ?? []
  if (rest === undefined) throw invalid('something else')
  const { groups = {} } = /^(?<authority>[^/?]*)(?:\/(?<path>[^?]*))?(?:\?(?<query>.*))?$/s.exec(rest) ?? {}
  const { authority = '', path = '', query = '' } = groups
  const at = authority.lastIndexOf('@')
  if (path.includes('@')) throw invalid(PERCENT_ENCODE)
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(authority.slice(0, Math.max(at, 0))) ?? []
  const given = readParameters(query)
  return {
    hosts: hostsOf(authority.slice(at + 1), given),
    user: given.user ?? (decode(user) || undefined),
    password: given.password ?? (decode(password) || undefined),
    database: given.dbname ?? (decode(path.replace(/\/$/, '')) || undefined),
    ...tlsOf(given),
    needsWrites: needsWrites(given),
    schemas: schemasOf(given),
    driver: {
      ...(given.application_name && { application_name: given.application_name }),
      ...(given.options && { options: given.options }),
      ...(given.sslnegotiation === 'direct' && { sslnegotiation: 'direct' }),
      ...(given.channel_binding === 'require' && { enableChannelBinding: true }),
    },
  }
}

function readParameters(query: string): Parameters {
  const given: Parameters = {}
  for (const part of query.split('&').filter((one) => one !== '')) {
    const [name = '', ...values] = part.split('=')
    if (TUNING.test(name)) continue
    if (/^(sslpassword|sslcrl)/.test(name))
      throw invalid('sslpassword or sslcrl: write a key without a passphrase, and leave both out')
    if (!PARAMETERS.includes(name)) {
      if (query.includes('@')) throw invalid(PERCENT_ENCODE)
      throw invalid(
        `a query with a parameter that has no effect here: leave it out (known are ${PARAMETERS.join(', ')})`,
      )
    }
    // A plus sign is itself, as for libpq; but URLs made by programs have it for the spaces between options.
    given[name] = decode(name === 'options' ? values.join('=').replaceAll('+', ' ') : values.join('='))
  }
  return given
}

/** As many hosts as are named, in the query or before it; one port is for all of them. */
function hostsOf(authority: string, { host, hostaddr, port }: Parameters): PostgresAddress['hosts'] {
  const written = authority.split(',').map((one) => {
    const [, name = '', given = ''] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(one) ?? [undefined, ':']
    return { host: decode(name).replace(/^\[(.*)\]$/, '$1'), port: given }
  })
  const names = (hostaddr ?? host)?.split(',') ?? written.map((one) => one.host)
  const ports = port?.split(',') ?? written.map((one) => one.port)
  if (ports.length !== 1 && ports.length !== names.length) throw invalid('not one port for each host')
  return names.map((name, n) => {
    const given = ports[ports.length === 1 ? 0 : n] ?? ''
    if (/[\s@#]/.test(name) && !name.startsWith('/')) throw invalid(PERCENT_ENCODE)
    if (given !== '' && !(/^\d{1,5}$/.test(given) && Number(given) > 0 && Number(given) < 65_536)) {
      throw invalid(`a port that is no number, or ${PERCENT_ENCODE}`)
    }
    return { host: name || undefined, port: given === '' ? undefined : Number(given) }
  })
}

function tlsOf(given: Parameters): Pick<PostgresAddress, 'sslmode' | 'files'> {
  const { sslrootcert: ca, sslcert: cert, sslkey: key } = given
  const files = { ca: ca === 'system' ? undefined : ca, cert, key }
  const sslmode = given.sslmode ?? modeOfOthers(given) ?? (ca && 'verify-full')
  if (sslmode && !SSL_MODES.some((mode) => mode === sslmode))
    throw invalid(`an sslmode that is none of ${SSL_MODES.join(', ')}`)
  if (sslmode !== 'require' || given.uselibpqcompat !== 'true')
    return { files, sslmode: sslmode as SslMode | undefined }
  return { files, sslmode: files.ca ? 'verify-ca' : 'no-verify' }
}

/** What other clients write instead of sslmode. */
function modeOfOthers({ ssl, sslaccept, sslnegotiation }: Parameters): string | undefined {
  if (sslaccept) return sslaccept === 'strict' ? 'verify-full' : 'no-verify'
  if (ssl === undefined) return sslnegotiation === 'direct' ? 'require' : undefined
  if (/^(true|1|)$/.test(ssl)) return 'require'
  return /^(false|0)$/.test(ssl) ? 'disable' : ssl
}

/** Cancelling needs a server that takes writes. */
function needsWrites({ target_session_attrs: wanted = 'any' }: Parameters): boolean {
  if (['read-write', 'primary'].includes(wanted)) return true
  if (wanted === 'any') return false
  throw invalid('target_session_attrs other than any, read-write or primary: order-expiry has to write')
}

function schemasOf({
  schema,
  currentSchema = schema,
  search_path: list = currentSchema,
}: Parameters): string | undefined {
  const names = list?.split(',').map((name) => name.trim().replace(/^"(.*)"$/, '$1'))
  return names?.every((name) => name !== '') ? names.map(quoteIdentifier).join(', ') : undefined
}

function invalid(given: string): Error {
  return new Error(`expected postgres://user:password@host:5432/database, given ${given}`)
}
