import { describe, expect, test } from '@jest/globals'
import { parsePostgresAddress } from '../../../../src/stores/postgres/address.ts'

const at = (host: string | undefined, port?: number) => ({ host, port })

describe('what libpq and the platforms write is taken', () => {
  test.each<[url: string, address: object]>([
    ['postgres://u:p@h:5433/db', { hosts: [at('h', 5433)], user: 'u', password: 'p', database: 'db' }],
    ['postgresql://h', { hosts: [at('h')], user: undefined, database: undefined }],
    ['postgres:///db', { hosts: [at(undefined)], database: 'db' }],
    ['postgres://u:p@/db?host=/cloudsql/p:r:i', { hosts: [at('/cloudsql/p:r:i')], user: 'u', database: 'db' }],
    ['postgres://u@localhost/db?host=/cloudsql/p:r:i', { hosts: [at('/cloudsql/p:r:i')] }],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/db', { hosts: [at('/var/run/postgresql')] }],
    [
      'postgres://?host=h&port=5433&user=u&password=p%20w&dbname=db',
      { hosts: [at('h', 5433)], user: 'u', password: 'p w' },
    ],
    ['postgres://a:1,b:2/db', { hosts: [at('a', 1), at('b', 2)] }],
    ['postgres://a,b:2/db', { hosts: [at('a'), at('b', 2)] }],
    ['postgres:///db?host=a,b&port=7', { hosts: [at('a', 7), at('b', 7)] }],
    ['postgres://[::1]:5433,h/db', { hosts: [at('::1', 5433), at('h')] }],
    ['postgres://h/db?target_session_attrs=read-write', { needsWrites: true }],
    ['postgres://u:p@ss@h/db', { password: 'p@ss', hosts: [at('h')] }],
    ['postgres://u:p#w%40x:y@h/db', { password: 'p#w@x:y', hosts: [at('h')] }],
    ['postgres://u:100%x@h/db', { password: '100%x' }],
    ['postgres://admin%40server:p+w@h/db', { user: 'admin@server', password: 'p+w' }],
    ['postgres://h/db?user=admin@server&password=p+w', { user: 'admin@server', password: 'p+w' }],
    ['postgres://h/db?schema=Shop', { schemas: '"Shop"' }],
    ['postgres://h/db?search_path=a,"B"', { schemas: '"a", "B"' }],
    ['postgres://h/db?currentSchema=a', { schemas: '"a"' }],
    [
      'postgres://h/db?options=-c%20geqo%3Doff&application_name=x',
      { driver: { options: '-c geqo=off', application_name: 'x' } },
    ],
    [
      'postgres://h/db?sslmode=require&channel_binding=require',
      { sslmode: 'require', driver: { enableChannelBinding: true } },
    ],
    ['postgres://h/db?pgbouncer=true&connection_limit=1&pool_timeout=0&connect_timeout=10', { sslmode: undefined }],
    [
      'postgres://h/db?statement_cache_size=0&keepalives_idle=5&gssencmode=disable&supa=base-pooler.x',
      { hosts: [at('h')] },
    ],
    ['postgres://h/db?ssl=true', { sslmode: 'require' }],
    ['postgres://h/db?ssl=no-verify', { sslmode: 'no-verify' }],
    ['postgres://h/db?sslaccept=accept_invalid_certs', { sslmode: 'no-verify' }],
    ['postgres://h/db?sslrootcert=/ca.pem', { sslmode: 'verify-full', files: { ca: '/ca.pem' } }],
    ['postgres://h/db?sslmode=verify-full&sslrootcert=system', { sslmode: 'verify-full', files: { ca: undefined } }],
    ['postgres://h/db/', { database: 'db' }],
  ])('%s', (url, address) => {
    expect(parsePostgresAddress(url)).toMatchObject(address)
  })
})

describe('anything else is refused with how to write it, and no part of it', () => {
  const SECRET = 'hunter2'
  test.each<[given: string, advice: RegExp]>([
    [`postgres://u:p/${SECRET}@h/db`, /percent-encoded: write %2F for \//],
    [`postgres://u:p?${SECRET}@h/db`, /%3F for \?/],
    [`postgres://u:a@b/${SECRET}@h/db`, /percent-encoded/],
    [`jdbc:postgresql://h/db?user=u&password=${SECRET}`, /JDBC/],
    [`{"url": "postgres://u:${SECRET}@h"}`, /URL alone/],
    [`'postgres://u:${SECRET}@h/db'`, /quotes/],
    [`psql postgres://u:${SECRET}@h/db`, /URL alone/],
    [`postgresql+asyncpg://u:${SECRET}@h/db`, /names a driver/],
    [`host=h user=u password=${SECRET}`, /write it as a URL/],
    [`Host=h;Username=u;Password=${SECRET}`, /write it as a URL/],
    [`prisma://h?api_key=${SECRET}`, /direct URL/],
    [`mysql://u:${SECRET}@h/db`, /something else/],
    [`postgres://u:${SECRET}@h/db?sslmod=require`, /no effect here.*known are host/],
    ['postgres://h/db?sslmode=on', /none of disable, allow, prefer/],
    ['postgres://h/db?target_session_attrs=standby', /has to write/],
    ['postgres://h:x/db', /port that is no number/],
    ['postgres://a,b,c/db?port=1,2', /one port for each host/],
    ['postgres://h/db?sslpassword=x', /without a passphrase/],
  ])('%s', (given, advice) => {
    let message = ''
    try {
      parsePostgresAddress(given)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toMatch(/^expected postgres:\/\//)
    expect(message).toMatch(advice)
    expect(message).not.toContain(SECRET)
  })
})
