import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closing } from './closing.ts'
import { end, freePort, unprivileged, untilConnected } from './processes.ts'

/** Debian's, 1.18, knows no prepared statements in transaction mode. */
const PGBOUNCER = existsSync('/usr/sbin/pgbouncer') ? '/usr/sbin/pgbouncer' : 'pgbouncer'

/**
 * A pooler in transaction mode with three connections to the server of a URL, until the test has ended.
 *
 * @param ignored start-up parameters that it takes and drops; it refuses all others
 * @returns its own URL
 */
export async function startPgbouncer(databaseUrl: string, ignored: readonly string[]): Promise<string> {
  const { hostname, port: serverPort, username, pathname } = new URL(databaseUrl)
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-pgbouncer-'))
  const port = await freePort()
  writeFileSync(
    join(dir, 'pgbouncer.ini'),
    `[databases]
${pathname.slice(1)} = host=${hostname} port=${serverPort} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
${ignored.length > 0 ? `ignore_startup_parameters = ${ignored.join(', ')}` : ''}
`,
  )
  chmodSync(dir, 0o755)
  const pooler = spawn(PGBOUNCER, [join(dir, 'pgbouncer.ini')], { ...unprivileged(), cwd: dir, stdio: 'ignore' })
  closing.push(async () => {
    await end(pooler, 'SIGINT')
    rmSync(dir, { recursive: true, force: true })
  })
  await untilConnected(port, pooler)
  return `postgres://${username}@127.0.0.1:${port}${pathname}`
}
