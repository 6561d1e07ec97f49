import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A server that a test started and must stop. */
export interface Server {
  url: string
  port: number
  pid: number
  /** Ends it in an orderly way and removes its data. */
  stop(): Promise<void>
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A real Redis, on loopback, untuned but for where its data is. @param options.tls its settings for TLS */
export async function startRedis(
  options: {
    port?: number
    dir?: string
    appendOnly?: boolean
    tls?: readonly string[]
    settings?: readonly string[]
  } = {},
): Promise<Server> {
  const port = options.port ?? (await freePort())
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'order-expiry-redis-'))
  // With TLS, nothing else is spoken.
  const ports = options.tls ? ['--port', '0', '--tls-port', `${port}`, ...options.tls] : ['--port', `${port}`]
  const settings = [...ports, '--bind', '127.0.0.1', '--dir', dir, '--save', '', ...(options.settings ?? [])]
  const child = spawn('redis-server', [...settings, '--appendonly', options.appendOnly ? 'yes' : 'no'], {
    stdio: 'ignore',
  })
  await untilConnected(port, child)
  return {
    url: `${options.tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    port,
    pid: child.pid as number,
    async stop() {
      await end(child, 'SIGTERM')
      if (!options.dir) rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A server that is about to be started in a folder of its own. */
export interface Program {
  url: string
  command: string
  args: readonly string[]
  options: SpawnOptions
}

/** A real PostgreSQL cluster of its own, on loopback. Durability is off: no test cuts the power. @param options.accessRules of pg_hba.conf */
export async function startPostgres(
  options: { settings?: Record<string, string>; accessRules?: string } = {},
): Promise<Server> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-postgres-'))
  const { url, command, args, options: how } = postgresProgram(dir, port)
  const flags = Object.entries(options.settings ?? {}).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  if (options.accessRules) writeFileSync(join(dir, 'data', 'pg_hba.conf'), options.accessRules)
  const child = spawn(command, [...args, ...flags], { ...how, cwd: dir, stdio: 'ignore' })
  await untilConnected(port, child)
  return {
    url,
    port,
    pid: child.pid as number,
    async stop() {
      await end(child, 'SIGINT') // fast shutdown
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A cluster, initialised in a folder, and how to start it. */
export function postgresProgram(dir: string, port: number): Program {
  const [bin, options, data] = [postgresBinaries(), unprivileged(), join(dir, 'data')]
  chmodSync(dir, 0o777)
  const cluster = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  execFileSync(join(bin, 'initdb'), cluster, { ...options, cwd: dir, stdio: 'ignore' })
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: dir,
    fsync: 'off',
    max_connections: '200',
    timezone: 'America/Lima',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    command: join(bin, 'postgres'),
    args: ['-D', data, '-p', `${port}`, ...flags],
    options,
  }
}

/** Sends a signal and waits for the end; kills what does not end. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await exited
  clearTimeout(timer)
}

/** Resolves once something accepts connections; rejects if the process ends before. */
export async function untilConnected(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (child.exitCode !== null) break
    const socket = connect(port, '127.0.0.1')
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (connected) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${child.spawnfile} does not listen on ${port} (exit code ${child.exitCode})`)
}

/** The folder of `initdb` and `postgres`. */
export function postgresBinaries(): string {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : []
  const debian = versions.sort((a, b) => Number(b) - Number(a)).map((version) => `/usr/lib/postgresql/${version}/bin`)
  const found = [...debian, ...(process.env.PATH ?? '').split(':')].find((dir) => existsSync(join(dir, 'initdb')))
  if (!found) throw new Error('expected PostgreSQL to be installed (node scripts/ensure-servers.mjs postgres)')
  return found
}

/** PostgreSQL refuses to run as root. */
export function unprivileged(): { uid: number; gid: number } | object {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres']))
  return { uid: id('-u'), gid: id('-g') }
}
