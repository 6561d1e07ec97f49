#!/usr/bin/env node
// Prints the functions of ours between `OrderExpiry.schedule` and Redis as JSON {functions, files, path}: those on the stack
// when a client that is warm hands a job to its socket. What packages put in between does not count.
//
//   npm run build && node scripts/schedule-path.mjs [DIST]
//
// Starts a Redis of its own, on a Unix socket in a temporary folder, and stops it at the end.
import { spawn } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const CALLS_TO_WARM_UP = 3
const REDIS_START_MS = 10_000

const dist = resolve(process.argv[2] ?? fileURLToPath(new URL('../dist', import.meta.url)))
const dir = mkdtempSync(join(tmpdir(), 'order-expiry-path-'))
const redisPath = join(dir, 'redis.sock')
const server = spawn('redis-server', ['--port', '0', '--unixsocket', redisPath, '--save', ''], {
  cwd: dir,
  stdio: 'ignore',
})
const ended = once(server, 'exit')
try {
  await untilListening()
  const path = await pathOfSchedule()
  const files = new Set(path.map(({ file }) => file))
  process.stdout.write(`${JSON.stringify({ functions: path.length, files: files.size, path: path.map(describe) })}\n`)
} finally {
  server.kill('SIGTERM')
  await ended
  rmSync(dir, { recursive: true, force: true })
}

async function untilListening() {
  const signal = AbortSignal.timeout(REDIS_START_MS)
  const watcher = watch(dir)
  try {
    while (!existsSync(redisPath)) {
      await Promise.race([once(watcher, 'change', { signal }), ended])
      if (server.exitCode !== null) throw new Error(`redis-server has ended with exit code ${server.exitCode}`)
    }
  } finally {
    watcher.close()
  }
}

async function pathOfSchedule() {
  const { OrderExpiry } = await import(pathToFileURL(join(dist, 'index.js')).href)
  const sockets = []
  subscribe('net.client.socket', ({ socket }) => sockets.push(socket))
  const shop = new OrderExpiry({ redis: `unix://${redisPath}` })
  try {
    for (let n = 0; n < CALLS_TO_WARM_UP; n++) await shop.schedule({ orderId: `warm-up-${n}` })
    if (sockets.length !== 1) throw new Error(`expected one socket, given ${sockets.length}`)
    const [socket] = sockets
    const { write } = socket
    let path
    socket.write = (...args) => {
      path ??= functionsOnStack()
      return Reflect.apply(write, socket, args)
    }
    await shop.schedule({ orderId: 'measured' })
    return path
  } finally {
    await shop.close()
  }
}

/** The functions of `dist` that have called us, the outermost first. */
function functionsOnStack() {
  const { prepareStackTrace, stackTraceLimit } = Error
  Error.stackTraceLimit = Number.POSITIVE_INFINITY
  Error.prepareStackTrace = (_, sites) => sites
  const sites = new Error().stack
  Object.assign(Error, { prepareStackTrace, stackTraceLimit })
  return sites
    .filter((site) => site.getFileName()?.startsWith(`${pathToFileURL(dist).href}/`))
    .map((site) => ({
      name: site.getFunctionName(),
      file: fileURLToPath(site.getFileName()),
      line: site.getLineNumber(),
    }))
    .reverse()
}

function describe({ name, file, line }) {
  return `${relative(dist, file)}:${line} ${name ?? 'anonymous function'}`
}
