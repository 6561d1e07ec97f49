import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { type Import, readSource, type Source } from './unit/source.ts'

/** The rooms of HOUSE.md: a file imports from its own room and from those further down. */
const LAYOUT = [
  'index.ts',
  'cli.ts',
  'commands',
  'daemon',
  'config.ts',
  'http',
  'sweep',
  'outbox',
  'client',
  'explain',
  'queue',
  'brake',
  'stores',
  'gateways',
  'order',
  'doctor',
  'observe',
  'settings',
  'redis',
  'runtime',
  'errors.ts',
]

/** Who may import a package, by the beginning of the path; `asType`: who may do so with `import type` only. */
const PACKAGES: Record<string, { by: readonly string[]; asType?: readonly string[] }> = {
  bullmq: { by: ['queue/'], asType: ['client/', 'http/board/', 'http/routes.ts', 'redis/'] },
  ioredis: { by: ['redis/'], asType: ['queue/', 'brake/', 'observe/history.ts', 'stores/redis/', 'stores/kinds.ts'] },
  pg: { by: ['stores/postgres/pool.ts'], asType: ['stores/postgres/'] },
  '@bull-board/api': { by: ['http/board/'] },
  '@bull-board/fastify': { by: ['http/board/'] },
  '@fastify/basic-auth': { by: ['http/'] },
  '@fastify/helmet': { by: ['http/server.ts'] },
  '@fastify/rate-limit': { by: ['http/api/'] },
  '@fastify/swagger': { by: ['http/api/openapi.ts'] },
  '@fastify/swagger-ui': { by: ['http/api/openapi.ts'] },
  'fastify-type-provider-zod': { by: ['http/'] },
  fastify: { by: ['http/'] },
  pino: { by: ['observe/log.ts'] },
  'prom-client': { by: ['observe/metrics.ts'], asType: ['http/metrics.ts', 'http/routes.ts'] },
  'bullmq-otel': { by: ['queue/worker/telemetry.ts'] },
  '@opentelemetry/api': { by: ['observe/traces.ts', 'queue/worker/telemetry.ts', 'http/trace-context.ts'] },
  '@opentelemetry/core': { by: ['observe/traces.ts', 'queue/worker/telemetry.ts'] },
  '@opentelemetry/exporter-trace-otlp-http': { by: ['observe/traces.ts'] },
  '@opentelemetry/resources': { by: ['observe/traces.ts'] },
  '@opentelemetry/sdk-trace-node': { by: ['observe/traces.ts'] },
  commander: { by: ['cli.ts', 'commands/'] },
  dotenv: { by: ['cli.ts'] },
  'fastest-levenshtein': { by: ['settings/unknown-names.ts'] },
  zod: { by: [''] },
}

/** What the producer's library may load, so that a shop gets no driver, server or logger that it does not use. */
const LIBRARY_PACKAGES = ['bullmq', 'ioredis', 'zod']

/** Who may touch what else is global or global in effect. Nobody: an empty list. */
const GLOBALS: Record<string, readonly string[]> = {
  'process.env': ['cli.ts'],
  'process.exit': ['cli.ts'],
  'process.exitCode': ['cli.ts'],
  'process.abort': [],
  'process.kill': ['redis/embedded.ts'], // with signal 0: whether a process is there
  // Handed on whole, as in `const { env } = process`, it could be used for any of these.
  process: [],
  globalThis: [],
  global: [],
  'Date.now': ['runtime/clock.ts'],
  'new Date()': ['runtime/clock.ts'],
  'Date()': ['runtime/clock.ts'],
  performance: ['runtime/clock.ts'],
  'process.hrtime': ['runtime/clock.ts'],
  setTimeout: ['runtime/clock.ts'],
  setInterval: ['runtime/clock.ts'],
  'AbortSignal.timeout': ['runtime/clock.ts'],
  console: [],
  require: [],
}

/** The same, by way of an import. */
const BUILTINS: Record<string, readonly string[]> = {
  process: [],
  console: [],
  perf_hooks: ['runtime/clock.ts'],
  timers: ['runtime/clock.ts'],
  'timers/promises': ['runtime/clock.ts'],
}

const FORBIDDEN_NAMES = ['utils', 'util', 'helpers', 'helper', 'common', 'types', 'shared', 'misc']

/** What is wrong, one line each; each begins with the path of the file. */
type Rule = (sources: readonly Source[]) => string[]

const rules: Record<string, Rule> = {
  'imports point down the layout': (sources) =>
    sources.flatMap(({ path, imports }) => {
      const place = LAYOUT.indexOf(placeOf(path))
      if (place === -1) return [`${path} has no place in the layout`]
      return ownFiles(imports)
        .filter((from) => LAYOUT.indexOf(placeOf(from)) < place)
        .map((from) => `${path} imports ${from}, which is above it`)
    }),

  'every import leads to a file': (sources) => {
    const paths = new Set(sources.map(({ path }) => path))
    return sources.flatMap(({ path, imports }) =>
      ownFiles(imports)
        .filter((from) => !paths.has(from))
        .map((from) => `${path} imports ${from}, which does not exist`),
    )
  },

  'there are no import cycles': (sources) =>
    sources.flatMap(({ path, imports }) =>
      ownFiles(imports)
        .filter((from) => reachable(sources, from).has(path))
        .map((from) => `${path} imports ${from}, which imports it in turn`),
    ),

  'nobody inside imports index.ts': (sources) =>
    sources
      .filter(({ imports }) => ownFiles(imports).includes('index.ts'))
      .map(({ path }) => `${path} imports index.ts`),

  'each package is imported only where it belongs': (sources) =>
    sources.flatMap(({ path, imports }) =>
      packages(imports).flatMap(({ from, typeOnly }) => {
        const { by = [], asType = [] } = PACKAGES[from] ?? {}
        if (startsWithOneOf(path, by) || (typeOnly && startsWithOneOf(path, asType))) return []
        return [`${path} imports ${from}${typeOnly ? ' as a type' : ''}`]
      }),
    ),

  'each global is used only where it belongs': (sources) =>
    sources.flatMap(({ path, imports, uses }) => [
      ...[...uses]
        .filter((name) => Object.hasOwn(GLOBALS, name) && !startsWithOneOf(path, GLOBALS[name] ?? []))
        .map((name) => `${path} uses ${name}`),
      ...imports.flatMap(({ from }) => {
        const name = from.replace(/^node:/, '')
        return Object.hasOwn(BUILTINS, name) && !startsWithOneOf(path, BUILTINS[name] ?? [])
          ? [`${path} imports ${from}`]
          : []
      }),
    ]),

  'there are no default exports': (sources) =>
    sources.filter(({ hasDefaultExport }) => hasDefaultExport).map(({ path }) => `${path} has a default export`),

  'index.ts only re-exports': (sources) =>
    sources
      .filter(({ path, onlyReExports }) => path === 'index.ts' && !onlyReExports)
      .map(({ path }) => `${path} does more than re-export`),

  [`the library loads nothing but ${LIBRARY_PACKAGES.join(', ')}`]: (sources) => {
    const loaded = reachable(sources, 'index.ts', { loadedOnly: true })
    return sources
      .filter(({ path }) => loaded.has(path))
      .flatMap(({ path, imports }) =>
        packages(imports)
          .filter(({ from, typeOnly }) => !typeOnly && !LIBRARY_PACKAGES.includes(from))
          .map(({ from }) => `${path} is loaded by index.ts and imports ${from}`),
      )
  },

  'names are kebab-case and say something': (sources) =>
    sources.flatMap(({ path }) => {
      const names = path.replace(/\.ts$/, '').split('/')
      const bad = names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || FORBIDDEN_NAMES.includes(name))
      return bad.map((name) => `${path}: ${name} is not a name to give`)
    }),
}

/** The folder at the top, or the file itself if it lies there. */
function placeOf(path: string): string {
  return path.split('/')[0] as string
}

function startsWithOneOf(path: string, beginnings: readonly string[]): boolean {
  return beginnings.some((beginning) => path.startsWith(beginning))
}

function ownFiles(imports: readonly Import[]): string[] {
  return imports.map(({ from }) => from).filter((from) => from.endsWith('.ts'))
}

function packages(imports: readonly Import[]): Import[] {
  return imports.filter(({ from }) => !from.endsWith('.ts') && !isBuiltin(from))
}

/** The files that `start` imports, and those that they import, and so on; `start` itself too. */
function reachable(sources: readonly Source[], start: string, options: { loadedOnly?: boolean } = {}): Set<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const found = new Set([start])
  for (const path of found) {
    const imports = byPath.get(path)?.imports ?? []
    for (const from of ownFiles(options.loadedOnly ? imports.filter(({ typeOnly }) => !typeOnly) : imports))
      found.add(from)
  }
  return found
}

const ROOT = new URL('../', import.meta.url)
const readText = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

const sources = readdirSync(fileURLToPath(new URL('src', ROOT)), { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readSource(path, readText(`src/${path}`)))

describe('the sources', () => {
  test('are all here', () => {
    const places = new Set(sources.map(({ path }) => placeOf(path)))
    expect([...places]).toEqual(
      expect.arrayContaining(['index.ts', 'cli.ts', 'commands', 'queue', 'stores', 'errors.ts']),
    )
    expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(sources.length)
  })

  test.each(Object.entries(rules))('%s', (_, rule) => {
    expect(rule(sources)).toEqual([])
  })

  test('import every production dependency, and no other package', () => {
    const manifest = JSON.parse(readText('package.json')) as { dependencies: Record<string, string> }
    const imported = new Set(sources.flatMap(({ imports }) => packages(imports)).map(({ from }) => from))
    expect([...imported].sort()).toEqual(Object.keys(manifest.dependencies).sort())
  })
})

/** For each rule, sources that break it, and what it says. */
const broken: [rule: string, files: Record<string, string>, violations: string[]][] = [
  [
    'imports point down the layout',
    {
      'order/order.ts': "import type { X } from '../queue/worker.ts'",
      'runtime/clock.ts': "export { X } from '../order/order.ts'",
      'http/server.ts': "await import('../daemon.ts')",
      'errors.ts': "let x: import('./config.ts').Config",
      'queue/worker.ts': "import '../order/order.ts'; import './batcher.ts'; import '../errors.ts'",
      'tools/x.ts': '',
    },
    [
      'order/order.ts imports queue/worker.ts, which is above it',
      'runtime/clock.ts imports order/order.ts, which is above it',
      'http/server.ts imports daemon.ts, which is above it',
      'errors.ts imports config.ts, which is above it',
      'tools/x.ts has no place in the layout',
    ],
  ],
  [
    'every import leads to a file',
    { 'order/order.ts': "import './decide.ts'; import '../errors.ts'", 'errors.ts': '' },
    ['order/order.ts imports order/decide.ts, which does not exist'],
  ],
  [
    'there are no import cycles',
    {
      'order/a.ts': "import './b.ts'",
      'order/b.ts': "import type { X } from './c.ts'; import './d.ts'",
      'order/c.ts': "await import('./a.ts')",
      'order/d.ts': '',
      'order/self.ts': "import './self.ts'",
    },
    [
      'order/a.ts imports order/b.ts, which imports it in turn',
      'order/b.ts imports order/c.ts, which imports it in turn',
      'order/c.ts imports order/a.ts, which imports it in turn',
      'order/self.ts imports order/self.ts, which imports it in turn',
    ],
  ],
  [
    'nobody inside imports index.ts',
    { 'cli.ts': "import { OrderExpiry } from './index.ts'", 'commands/pay.ts': "import '../queue/client.ts'" },
    ['cli.ts imports index.ts'],
  ],
  [
    'each package is imported only where it belongs',
    {
      'queue/worker.ts': "import { Worker } from 'bullmq'",
      'http/board/board.ts': "import type { Queue } from 'bullmq'; import { x } from '@bull-board/api/bullMQAdapter'",
      'http/server.ts': "import type { Queue } from 'bullmq'; import '@bull-board/api'",
      'stores/open.ts': "import { type Redis } from 'ioredis'",
      'redis/connection.ts': "import { Redis } from 'ioredis'",
      'stores/mysql.ts': "const pg = await import('pg')",
      'order/order.ts': "import 'left-pad'; import { z } from 'zod'; import { join } from 'node:path'",
    },
    [
      'http/server.ts imports bullmq as a type',
      'http/server.ts imports @bull-board/api',
      // Under verbatimModuleSyntax this loads the package, although it takes only a type from it.
      'stores/open.ts imports ioredis',
      'stores/mysql.ts imports pg',
      'order/order.ts imports left-pad',
    ],
  ],
  [
    'each global is used only where it belongs',
    {
      'cli.ts': 'process.env.HOME; process.exit(1)',
      'runtime/clock.ts': "import { setTimeout } from 'node:timers/promises'; Date.now(); setTimeout(1)",
      'order/a.ts': "// process.env and console.log\nconst text = 'Date.now()'; const date = new Date(5); process.pid",
      'order/b.ts': 'const { env } = process; const now = Date.now; f(new Date())',
      'order/c.ts': "process['env']; globalThis.setTimeout(f, 1); Date['now']()",
      'order/d.ts': 'setInterval(f, 1); f(setTimeout); console.log(1); process.exit()',
      'order/e.ts': "import { env } from 'node:process'; import { setTimeout } from 'timers'; setImmediate(f)",
      'order/f.ts': 'const x = { console: 1, setTimeout() {} }; x.console; x.setTimeout; x.process.env',
    },
    [
      'order/b.ts uses process',
      'order/b.ts uses Date.now',
      'order/b.ts uses new Date()',
      'order/c.ts uses process.env',
      'order/c.ts uses globalThis',
      'order/c.ts uses Date.now',
      'order/d.ts uses setInterval',
      'order/d.ts uses setTimeout',
      'order/d.ts uses console',
      'order/d.ts uses process.exit',
      'order/e.ts imports node:process',
      'order/e.ts imports timers',
    ],
  ],
  [
    'there are no default exports',
    {
      'order/a.ts': 'export default 1',
      'order/b.ts': 'export default function f() {}',
      'order/c.ts': 'const x = 1; export { x as default }',
      'order/d.ts': "export { default } from './a.ts'",
      'order/e.ts': "import x, { default as y } from 'zod'; export const z = x",
    },
    ['a', 'b', 'c', 'd'].map((name) => `order/${name}.ts has a default export`),
  ],
  [
    'index.ts only re-exports',
    { 'index.ts': "export * from './errors.ts'; export const x = 1", 'errors.ts': 'export const y = 1' },
    ['index.ts does more than re-export'],
  ],
  [
    'the library loads nothing but bullmq, ioredis, zod',
    {
      'index.ts': "export { A } from './queue/client.ts'; export type { B } from './config.ts'",
      'queue/client.ts': "import 'bullmq'; import type { Logger } from 'pino'; import '../stores/redis.ts'",
      'stores/redis.ts': "import 'ioredis'; import 'node:net'; await import('./postgres.ts')",
      'stores/postgres.ts': "import pg from 'pg'",
      'config.ts': "import 'fastest-levenshtein'",
    },
    ['stores/postgres.ts is loaded by index.ts and imports pg'],
  ],
  [
    'names are kebab-case and say something',
    {
      'queue/board-queue.ts': '',
      'queue/boardQueue.ts': '',
      'runtime/utils.ts': '',
      'common/x.ts': '',
      'order/Order.ts': '',
    },
    [
      'queue/boardQueue.ts: boardQueue is not a name to give',
      'runtime/utils.ts: utils is not a name to give',
      'common/x.ts: common is not a name to give',
      'order/Order.ts: Order is not a name to give',
    ],
  ],
]

describe('the rule that', () => {
  const check = (name: string, files: Record<string, string>) =>
    rules[name]?.(Object.entries(files).map(([path, text]) => readSource(path, text)))

  test.each(broken)('%s catches what breaks it, and nothing else', (rule, files, violations) => {
    expect(check(rule, files)).toEqual(violations)
  })

  test('is not shown here to catch something does not exist', () => {
    expect(broken.map(([rule]) => rule)).toEqual(Object.keys(rules))
  })
})

describe('the version of Node', () => {
  const LEAST = '20.19'
  const IMAGE = '24'

  test('is stated in package.json, its lock file, and the types that are compiled against', () => {
    type Manifest = { engines: { node: string }; devDependencies: Record<string, string> }
    const manifest = JSON.parse(readText('package.json')) as Manifest
    const lock = JSON.parse(readText('package-lock.json')) as { packages: Record<string, Manifest> }
    expect(manifest.engines).toEqual({ node: `>=${LEAST}` })
    expect(lock.packages['']?.engines).toEqual(manifest.engines)
    expect(manifest.devDependencies['@types/node']).toMatch(new RegExp(`^\\^${LEAST}(\\.|$)`))
  })

  test('is stated in the Dockerfile once', () => {
    expect(nodeVersions(readText('Dockerfile'))).toEqual([IMAGE])
  })

  test('is the same in the README', () => {
    const stated = nodeVersions(readText('README.md'))
    expect(stated).toContain(LEAST)
    expect(stated.filter((version) => ![LEAST, IMAGE].includes(version))).toEqual([])
  })

  test.each([
    ['Node 20.19 or later', ['20.19']],
    ['Node.js >= 18.0.1, nodejs 16 and node:24-bookworm-slim', ['18.0.1', '16', '24']],
    ['a node of the tree, node_modules, node dist/cli.js', []],
  ])('is found in %j', (text, versions) => {
    expect(nodeVersions(text)).toEqual(versions)
  })
})

/** Every version of Node that a text names. */
function nodeVersions(text: string): string[] {
  return [...text.matchAll(/\bnode(?:\.?js)?(?:[:@]| ?(?:>=|≥|v|version)? ?)v?(\d+(?:\.\d+)*)/gi)].map(
    ([, version]) => version ?? '',
  )
}
