#!/usr/bin/env node
// Makes sure that this machine has the servers a command is about to start as its own children, and for the tests promtool of
// Prometheus and Chromium.
//
//   node scripts/ensure-servers.mjs redis                        before the tests or the demo
//   node scripts/ensure-servers.mjs redis --unless-redis-url -- start --env-file shop.env
//                                                                before the daemon: its Redis may be elsewhere
//   node scripts/ensure-servers.mjs redis postgres pgbouncer prometheus chromium
//   node scripts/ensure-servers.mjs --where chromium             only prints the path of each binary, a line each
//
// Says nothing and exits 0 when they are there. Otherwise it installs the missing packages, if this process may
// (root, or sudo without a password; Homebrew needs neither), and if not, prints the command to type and exits 1.
// Nothing that it installs is left running: the tests and the daemon start servers of their own.
// Plain Node without dependencies, so that it can run before anything else does.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { parseArgs, parseEnv } from 'node:util'

/** `binaries`: one of each inner list must be there. `packages`: where several are named, the first one available. */
const SERVERS = {
  redis: {
    why: 'a private Redis, used when REDIS_URL is not set',
    binaries: [['redis-server', 'valkey-server']],
    packages: { 'apt-get': ['redis-server'], apk: ['redis'], dnf: ['redis', 'valkey'], brew: ['redis'] },
  },
  postgres: {
    why: 'a private PostgreSQL for the tests',
    binaries: [['initdb'], ['postgres']],
    packages: {
      'apt-get': ['postgresql'],
      apk: ['postgresql'],
      dnf: ['postgresql-server'],
      brew: ['postgresql@16'],
    },
  },
  pgbouncer: {
    why: 'a private pooler for the tests',
    binaries: [['pgbouncer']],
    packages: { 'apt-get': ['pgbouncer'], apk: ['pgbouncer'], dnf: ['pgbouncer'], brew: ['pgbouncer'] },
  },
  prometheus: {
    why: 'promtool, which tests the alert rules',
    binaries: [['promtool']],
    packages: {
      'apt-get': ['prometheus'],
      apk: ['prometheus'],
      dnf: ['golang-github-prometheus'],
      brew: ['prometheus'],
    },
  },
  nginx: {
    why: 'a proxy in front of the daemon, as docs/proxy.md sets it up, for the tests',
    binaries: [['nginx']],
    packages: { 'apt-get': ['nginx'], apk: ['nginx'], dnf: ['nginx'], brew: ['nginx'] },
  },
  curl: {
    why: 'curl, which runs the examples of the docs',
    binaries: [['curl']],
    packages: { 'apt-get': ['curl'], apk: ['curl'], dnf: ['curl'], brew: ['curl'] },
  },
  chromium: {
    why: 'a browser, which tests the pages',
    binaries: [['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'Chromium', 'Google Chrome']],
    packages: { 'apt-get': ['chromium'], apk: ['chromium'], dnf: ['chromium'], brew: ['google-chrome'] },
  },
}

/** Where servers live that are installed but not on the PATH of an ordinary user. */
const SERVER_DIRECTORIES = [
  '/usr/sbin',
  '/usr/local/bin',
  '/opt/homebrew/bin',
  '/usr/lib/postgresql/*/bin',
  '/usr/libexec/postgresql*',
  '/opt/homebrew/opt/postgresql*/bin',
  '/usr/local/opt/postgresql*/bin',
  '/Applications/Chromium.app/Contents/MacOS',
  '/Applications/Google Chrome.app/Contents/MacOS',
]

const MANAGERS = {
  'apt-get': { prepare: 'apt-get update', install: 'apt-get install -y --no-install-recommends' },
  apk: { install: 'apk add' },
  dnf: { install: 'dnf install -y' },
  brew: { install: 'brew install', asUser: true },
}

/**
 * Debian starts a server as soon as it is installed, unless a `policy-rc.d` forbids it. One that is there already is
 * the machine's own policy and stays; ours goes again however the install ends.
 */
const WITHOUT_STARTING_SERVICES = `
  export DEBIAN_FRONTEND=noninteractive
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\\nexit 101\\n' >$policy && chmod 755 $policy
  fi
`

const end = process.argv.indexOf('--')
const [args, ofDaemon] =
  end === -1 ? [process.argv.slice(2), []] : [process.argv.slice(2, end), process.argv.slice(end + 1)]
const { positionals, values } = parseArgs({
  args,
  allowPositionals: true,
  options: {
    'unless-redis-url': { type: 'boolean', default: false },
    where: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter((name) => !Object.hasOwn(SERVERS, name))
if (unknown.length > 0 || positionals.length === 0) {
  fail(
    `name the servers needed: ${Object.keys(SERVERS).join(', ')}${unknown.length ? ` (not ${unknown.join(', ')})` : ''}`,
  )
}
if (values.where) tellWhere(positionals)
else ensure(positionals.filter((name) => !(name === 'redis' && values['unless-redis-url'] && redisIsElsewhere())))

function tellWhere(names) {
  const missing = names.filter((name) => !isInstalled(SERVERS[name]))
  if (missing.length > 0) fail(`${missing.map(missingBinaries).join(' and ')} not found`)
  const groups = names.flatMap((name) => SERVERS[name].binaries)
  process.stdout.write(groups.map((alternatives) => `${alternatives.map(find).find(Boolean)}\n`).join(''))
}

function ensure(names) {
  const missing = names.filter((name) => !isInstalled(SERVERS[name]))
  if (missing.length === 0) return

  const isRoot = process.getuid?.() === 0
  const mayBeRoot = isRoot || (find('sudo') !== undefined && run(['sudo', '-n', 'true']).ok)
  const present = Object.keys(MANAGERS).filter((name) => find(name) !== undefined)
  const usable = present.find((name) => (MANAGERS[name].asUser ? !isRoot : mayBeRoot))
  const managerName = usable ?? present[0]
  if (managerName === undefined) {
    fail(`${missing.map(missingBinaries).join(' and ')} not found; install ${missing.join(' and ')} and try again`)
  }
  const manager = MANAGERS[managerName]
  const packages = missing.map((name) => available(SERVERS[name].packages[managerName], managerName))
  const commands = [manager.prepare, `${manager.install} ${packages.join(' ')}`].filter(
    (command) => command !== undefined,
  )
  if (usable === undefined) {
    const typed = commands.map((command) => (manager.asUser || isRoot ? command : `sudo ${command}`)).join(' && ')
    fail(`${missing.map(missingBinaries).join(' and ')} not found. To install what is missing, type:\n\n  ${typed}\n`)
  }

  const reasons = missing.map((name, i) => `${packages[i]} (${SERVERS[name].why})`)
  say(`installing ${reasons.join(' and ')} with ${managerName}`)
  // A failed `apt-get update` may be one broken source among many: whether the package can be had decides.
  const script = (managerName === 'apt-get' ? WITHOUT_STARTING_SERVICES : '') + commands.join('\n')
  const outcome = run([...(manager.asUser || isRoot ? [] : ['sudo', '-n']), 'sh', '-c', script])
  if (!outcome.ok) fail(`could not install ${packages.join(' and ')}\n${outcome.output}`)

  const stillMissing = missing.filter((name) => !isInstalled(SERVERS[name]))
  if (stillMissing.length > 0) {
    fail(`${packages.join(' and ')} installed, but ${stillMissing.map(missingBinaries).join(' and ')} still not found`)
  }
}

/** As the daemon reads its settings: its file only fills in what the environment does not set. */
function redisIsElsewhere() {
  let settings = {}
  try {
    const path = envFile()
    if (path !== undefined) settings = parseEnv(readFileSync(path, 'utf8'))
  } catch {
    // There is none, or one that cannot be read, which the daemon refuses in its own words.
  }
  return ['REDIS_URL', 'REDIS_URL_FILE'].some((name) => process.env[name] || settings[name])
}

/** The last option counts. Undefined: no file is to be read. */
function envFile() {
  let path = '.env'
  for (const [n, arg] of ofDaemon.entries()) {
    if (arg === '--no-env-file') path = undefined
    else if (arg === '--env-file') path = ofDaemon[n + 1]
    else if (arg.startsWith('--env-file=')) path = arg.slice('--env-file='.length)
  }
  return path
}

function isInstalled(server) {
  return server.binaries.every((alternatives) => alternatives.some((binary) => find(binary) !== undefined))
}

function missingBinaries(name) {
  const groups = SERVERS[name].binaries.filter(
    (alternatives) => !alternatives.some((binary) => find(binary) !== undefined),
  )
  return groups.map((alternatives) => alternatives.join(' or ')).join(' and ')
}

function find(binary) {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '')
  const directories = [...onPath, ...SERVER_DIRECTORIES.flatMap(expand)]
  return directories.map((directory) => join(directory, binary)).find(isExecutable)
}

/** The directories that `pattern`, with at most one `*`, stands for. */
function expand(pattern) {
  const star = pattern.indexOf('*')
  if (star === -1) return [pattern]
  const parent = dirname(`${pattern.slice(0, star)}x`)
  const prefix = pattern.slice(parent.length + 1, star)
  const rest = pattern.slice(star + 1)
  try {
    const names = readdirSync(parent).filter((name) => name.startsWith(prefix))
    return names.map((name) => join(parent, name, rest))
  } catch {
    return []
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function available(packages, managerName) {
  if (packages.length === 1) return packages[0]
  return packages.find((name) => run([managerName, '-q', 'info', name]).ok) ?? packages[0]
}

function run([command, ...args]) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  })
  return { ok: status === 0, output: error?.message ?? `${stdout}${stderr}` }
}

function say(text) {
  process.stderr.write(`order-expiry: ${text}\n`)
}

function fail(text) {
  say(text)
  process.exit(1)
}
