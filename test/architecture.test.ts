import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { KNOWN_BULLMQ } from '../src/queue/worker/fingerprints.ts'
import { measureHouse } from './unit/house.ts'
import { type Import, readSource, type Source } from './unit/source.ts'

/** The rooms, each with the rooms within it. A file imports from its own room and from those further down. */
const LAYOUT: Record<string, readonly string[]> = {
  nestjs: [],
  testing: [],
  'index.ts': [],
  'cli.ts': [],
  commands: ['demo'],
  daemon: [],
  'config.ts': [],
  http: ['api', 'board', 'pages'],
  sweep: [],
  outbox: ['queue', 'stream', 'webhook'],
  client: [],
  explain: [],
  queue: ['diagnosis', 'replay', 'view', 'worker'],
  brake: [],
  gateways: ['alipay', 'http', 'stripe', 'wechat'],
  stores: ['postgres', 'postgres/diagnosis', 'redis'],
  doctor: [],
  observe: [],
  order: [],
  signing: [],
  settings: [],
  redis: [],
  runtime: [],
  'errors.ts': [],
}

const FOLDERS = Object.entries(LAYOUT)
  .filter(([room]) => !room.endsWith('.ts'))
  .flatMap(([room, within]) => [room, ...within.map((name) => `${room}/${name}`)])

/** Who may import from the folder of a store, beside the files in it. */
const STORES_ARE_KNOWN_BY = ['stores/kinds.ts', 'stores/records.ts']

/** Who may import a package, by the beginning of the path; `asType`: who may do so with `import type` only. */
const PACKAGES: Record<string, { by: readonly string[]; asType?: readonly string[] }> = {
  '@nestjs/common': { by: ['nestjs/'] },
  stripe: { by: ['gateways/stripe/stripe.ts'], asType: ['gateways/stripe/'] },
  bullmq: { by: ['queue/'], asType: ['client/', 'http/board/', 'redis/'] },
  ioredis: { by: ['redis/'], asType: ['queue/', 'brake/', 'observe/history.ts', 'stores/redis/'] },
  pg: { by: ['stores/postgres/pool.ts'], asType: ['stores/postgres/'] },
  '@bull-board/api': { by: ['http/board/'] },
  '@bull-board/fastify': { by: ['http/board/'] },
  '@fastify/helmet': { by: ['http/server.ts'] },
  '@fastify/rate-limit': { by: ['http/api/'] },
  '@fastify/swagger': { by: ['http/api/openapi.ts'] },
  '@fastify/swagger-ui': { by: ['http/api/openapi.ts'] },
  'fastify-type-provider-zod': { by: ['http/'] },
  fastify: { by: ['http/'] },
  ghtml: { by: ['http/pages/'] },
  marked: { by: ['http/pages/guide.ts'] },
  pino: { by: ['observe/log.ts'], asType: ['observe/log-quietly.ts'] },
  'prom-client': { by: ['observe/gauges.ts', 'observe/metrics.ts'], asType: ['http/probes.ts'] },
  'bullmq-otel': { by: ['queue/worker/telemetry.ts'] },
  '@opentelemetry/api': { by: ['observe/traces.ts', 'queue/worker/telemetry.ts', 'http/api/api.ts'] },
  '@opentelemetry/core': { by: ['observe/traces.ts', 'queue/worker/telemetry.ts'] },
  '@opentelemetry/exporter-trace-otlp-http': { by: ['observe/traces.ts'] },
  '@opentelemetry/resources': { by: ['observe/traces.ts'] },
  '@opentelemetry/sdk-trace-node': { by: ['observe/traces.ts'] },
  commander: { by: ['cli.ts', 'commands/'] },
  dotenv: { by: ['settings/env-file.ts'] },
  'fastest-levenshtein': {
    by: ['settings/unknown-names.ts', 'stores/postgres/advice.ts', 'stores/postgres/diagnosis/statuses.ts'],
  },
  undici: { by: ['runtime/origin.ts'] },
  zod: { by: [''] },
}

const ROOT = new URL('../', import.meta.url)
const readText = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

/** What the package `order-expiry` consists of: these files, and what they import. */
const LIBRARY = (JSON.parse(readText('library/tsconfig.json')) as { files: string[] }).files.map((path) =>
  path.replace('../src/', ''),
)

/** What it may import, also as a type: a shop installs nothing else. A subpath also imports what its users have anyway. */
const LIBRARY_PACKAGES = ['bullmq', 'ioredis', 'zod']
const PEERS: Readonly<Record<string, string>> = { '@nestjs/common': 'nestjs/' }
/** What the daemon imports only if a setting asks for it, and who wants it installs. */
const OPTIONAL_PEERS = ['stripe']

/** Who may touch what else is global or global in effect. Nobody: an empty list. */
const GLOBALS: Record<string, readonly string[]> = {
  'process.env': ['cli.ts'],
  'process.exit': ['cli.ts'],
  'process.exitCode': ['cli.ts'],
  'process.abort': [],
  'process.kill': ['redis/server-process.ts'], // with signal 0: whether a process is there
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
  'every file lies in a room': (sources) =>
    sources
      .filter(({ path }) => !Object.hasOwn(LAYOUT, path) && !FOLDERS.includes(posix.dirname(path)))
      .map(({ path }) => `${path} lies in no room`),

  'imports point down the layout': (sources) => {
    const rooms = Object.keys(LAYOUT)
    return sources.flatMap(({ path, imports }) =>
      ownFiles(imports)
        .filter((from) => rooms.indexOf(placeOf(from)) < rooms.indexOf(placeOf(path)))
        .map((from) => `${path} imports ${from}, which is above it`),
    )
  },

  'only one file knows the folders of the stores': (sources) =>
    sources.flatMap(({ path, imports }) =>
      ownFiles(imports)
        .filter((from) => storeOf(from) !== undefined && storeOf(from) !== storeOf(path))
        .filter(() => !STORES_ARE_KNOWN_BY.includes(path))
        .map((from) => `${path} imports ${from}, which is of one store`),
    ),

  'nothing outside src is imported': (sources) =>
    sources.flatMap(({ path, imports }) =>
      ownFiles(imports)
        .filter((from) => from.startsWith('..'))
        .map((from) => `${path} imports ${from}`),
    ),

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
    sources.filter(({ exports }) => exports.includes('default')).map(({ path }) => `${path} has a default export`),

  'every export is imported by somebody': (sources) => {
    const imports = sources.flatMap(({ imports }) => imports)
    const taken = new Set(imports.flatMap(({ from, names }) => names.map((name) => `${from} ${name}`)))
    return sources
      .filter(({ path }) => posix.basename(path) !== 'index.ts' && !taken.has(`${path} *`))
      .flatMap(({ path, exports }) =>
        exports.filter((name) => name !== 'default' && !taken.has(`${path} ${name}`)).map((name) => `${path}: ${name}`),
      )
  },

  'index.ts only re-exports': (sources) =>
    sources
      .filter(({ path, onlyReExports }) => path === 'index.ts' && !onlyReExports)
      .map(({ path }) => `${path} does more than re-export`),

  [`the library imports nothing but ${LIBRARY_PACKAGES.join(', ')}`]: (sources) => {
    const inLibrary = new Set(LIBRARY.flatMap((path) => [...reachable(sources, path)]))
    return sources
      .filter(({ path }) => inLibrary.has(path))
      .flatMap(({ path, imports }) =>
        packages(imports)
          .filter(({ from }) => !LIBRARY_PACKAGES.includes(from) && !path.startsWith(PEERS[from] ?? '?'))
          .map(({ from }) => `${path} is in the library and imports ${from}`),
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

/** The store whose folder a file lies in. */
function storeOf(path: string): string | undefined {
  return /^stores\/([^/]+)\//.exec(path)?.[1]
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
function reachable(sources: readonly Source[], start: string): Set<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const found = new Set([start])
  for (const path of found) for (const from of ownFiles(byPath.get(path)?.imports ?? [])) found.add(from)
  return found
}

/** The sources in a folder, with paths below it, or below the root of the project. */
function readSources(folder: string, options: { belowRoot?: boolean } = {}): Source[] {
  return readdirSync(fileURLToPath(new URL(folder, ROOT)), { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !/(^|\/)(node_modules|\.build)\//.test(path))
    .map((path) => readSource(options.belowRoot ? `${folder}/${path}` : path, readText(`${folder}/${path}`)))
}

const sources = readSources('src')

describe('the sources', () => {
  test('are all here, and no room is empty', () => {
    const places = sources.flatMap(({ path }) => [path, posix.dirname(path)])
    expect(places).toEqual(expect.arrayContaining([...Object.keys(LAYOUT), ...FOLDERS]))
    expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(sources.length)
  })

  test('are there for each permission', () => {
    const permitted = [...Object.values(GLOBALS), ...Object.values(BUILTINS)].flat()
    for (const { by, asType = [] } of Object.values(PACKAGES)) permitted.push(...by, ...asType)
    expect(permitted.filter((beginning) => !sources.some(({ path }) => path.startsWith(beginning)))).toEqual([])
  })

  // What the tests alone import counts as well: see the whole tree.
  const ofSources = Object.entries(rules).filter(([name]) => name !== 'every export is imported by somebody')

  test.each(ofSources)('%s', (_, rule) => {
    expect(rule(sources)).toEqual([])
  })

  test('import every production dependency, and no other package', () => {
    const manifest = JSON.parse(readText('package.json')) as { dependencies: Record<string, string> }
    const imported = new Set(sources.flatMap(({ imports }) => packages(imports)).map(({ from }) => from))
    for (const peer of [...Object.keys(PEERS), ...OPTIONAL_PEERS]) expect(imported.delete(peer)).toBe(true)
    expect([...imported].sort()).toEqual(Object.keys(manifest.dependencies).sort())
  })

  test('import every optional peer, which is the same package in the same versions as in the tests', () => {
    const { peerDependencies, peerDependenciesMeta, devDependencies } = JSON.parse(readText('package.json')) as Record<
      'peerDependencies' | 'peerDependenciesMeta' | 'devDependencies',
      Record<string, unknown>
    >
    expect(Object.keys(peerDependencies)).toEqual(OPTIONAL_PEERS)
    expect(peerDependenciesMeta).toEqual(Object.fromEntries(OPTIONAL_PEERS.map((peer) => [peer, { optional: true }])))
    expect(devDependencies).toMatchObject(peerDependencies)
  })
})

describe('the whole tree', () => {
  const bench = readSources('bench', { belowRoot: true })
  const all = [...bench, ...readSources('src', { belowRoot: true }), ...readSources('test', { belowRoot: true })]

  test('is here', () => {
    const paths = ['bench/main.ts', 'bench/workers/host.ts', 'src/index.ts', 'test/architecture.test.ts']
    expect(all.map(({ path }) => path)).toEqual(expect.arrayContaining(paths))
  })

  test('every import leads to a file', () => {
    expect(rules['every import leads to a file']?.(all)).toEqual([])
  })

  test('every export is imported by somebody', () => {
    expect(rules['every export is imported by somebody']?.(all)).toEqual([])
  })

  test('there are no import cycles in the bench', () => {
    expect(rules['there are no import cycles']?.(bench)).toEqual([])
  })
})

describe('the house', () => {
  test.each(measureHouse().map((figure) => [figure.what, figure] as const))('keeps to its %s', (_, figure) => {
    const { value, most, list } = figure
    expect(value <= most ? [] : [`${value}, and at most ${most}`, ...list]).toEqual([])
  })

  const measure = (files: Record<string, string>) =>
    Object.fromEntries(measureHouse(files).map(({ what, value, list }) => [what, { value, list }]))
  const lines = (count: number) => '\n'.repeat(count)

  test('is measured in lines and files', () => {
    const figures = measure({ 'order/a.ts': lines(301), 'order/b.ts': lines(300), 'order/c.ts': lines(1) })
    expect(figures).toMatchObject({
      'lines of src': { value: 602 },
      'lines of the median file': { value: 300 },
      'lines of the largest file': { value: 301, list: ['order/a.ts 301'] },
      'files over 300 lines': { value: 1, list: ['order/a.ts 301'] },
    })
  })

  test('is measured in functions, however they are written; classes do not count', () => {
    const body = (count: number) => `{${lines(count - 1)}}`
    const figures = measure({
      'order/a.ts': `// é\nexport function declared() ${body(61)}\nconst arrow = async () => ${body(62)}\nf(() => ${body(60)})`,
      'order/b.ts': `#!/usr/bin/env node\nclass Large {\n#own() ${body(63)}\nget it() ${body(64)}\nconstructor() ${body(65)} }`,
      'order/c.ts': `const outer = { method() {\nreturn function () ${body(66)} },\nkept: () => ${body(2)} }`,
    })
    expect(figures).toMatchObject({
      'lines of the longest function': { value: 67, list: ['order/c.ts:1 method 67'] },
      'functions over 60 lines': {
        value: 7,
        list: [
          'order/c.ts:1 method 67',
          'order/c.ts:2 anonymous 66',
          'order/b.ts:130 constructor 65',
          'order/b.ts:66 it 64',
          'order/b.ts:3 #own 63',
          'order/a.ts:63 arrow 62',
          'order/a.ts:2 declared 61',
        ],
      },
    })
  })

  test('is measured in files that know a store by name, where Redis is not the server of the queue', () => {
    const figures = measure({
      'stores/redis/store.ts': "import './scripts.ts'; const kind = 'redis'",
      'stores/redis/scripts.ts': '',
      'stores/mysql/store.ts': "import '../redis/scripts.ts'",
      'stores/kinds.ts': "const kinds = { redis: () => import('./redis/store.ts') }; const first = 'mysql'",
      'config.ts': "z.enum(['redis', 'other']); const text = `only with ORDER_STORE=mysql`",
      'daemon/parts.ts': "type Kind = 'mysql' | 'redis'; import('../stores/mysql/store.ts')",
      'daemon/checking.ts':
        "// 'redis'\ntype One = Pick<Opened, 'redis'>; type Other = Opened['redis']; const redis = { redis }",
      'daemon/vitals.ts': "waitFor({ service: 'redis' }); const ping = { name: 'redis' }; say('mysql and redis')",
      'doctor/finding.ts': "interface Finding { subject: 'redis' | 'queue' }",
    })
    expect(figures['files that know a store by name']).toEqual({
      value: 3,
      list: [
        'stores/mysql/store.ts: stores/redis/scripts.ts',
        "config.ts: 'redis', ORDER_STORE=mysql",
        "daemon/parts.ts: 'mysql', 'redis', stores/mysql/store.ts",
      ],
    })
  })
})

/** For each rule, sources that break it, and what it says. */
const broken: [rule: string, files: Record<string, string>, violations: string[]][] = [
  [
    'every file lies in a room',
    {
      'index.ts': '',
      'queue/jobs.ts': '',
      'queue/view/forecast.ts': '',
      'stores/postgres/diagnosis/table.ts': '',
      'main.ts': '',
      'tools/x.ts': '',
      'queue/pages/x.ts': '',
      'queue/view/deep/x.ts': '',
      'stores/mysql/store.ts': '',
    },
    ['main.ts', 'tools/x.ts', 'queue/pages/x.ts', 'queue/view/deep/x.ts', 'stores/mysql/store.ts'].map(
      (path) => `${path} lies in no room`,
    ),
  ],
  [
    'imports point down the layout',
    {
      'order/order.ts': "import type { X } from '../queue/worker/worker.ts'",
      'runtime/clock.ts': "export { X } from '../order/order.ts'",
      'http/server.ts': "await import('../daemon/daemon.ts')",
      'errors.ts': "let x: import('./config.ts').Config",
      'queue/worker/worker.ts': "import '../../order/order.ts'; import '../jobs.ts'; import '../../errors.ts'",
    },
    [
      'order/order.ts imports queue/worker/worker.ts, which is above it',
      'runtime/clock.ts imports order/order.ts, which is above it',
      'http/server.ts imports daemon/daemon.ts, which is above it',
      'errors.ts imports config.ts, which is above it',
    ],
  ],
  [
    'only one file knows the folders of the stores',
    {
      'stores/kinds.ts': "import('./redis/kind.ts'); import type { X } from './postgres/kind.ts'",
      'stores/redis/kind.ts': "import './store.ts'; import '../../order/store.ts'",
      'stores/redis/store.ts': "import '../postgres/rows.ts'",
      'stores/postgres/diagnosis/table.ts': "import '../rows.ts'",
      'client/client.ts': "import { RedisOrders } from '../stores/redis/store.ts'; import '../stores/kinds.ts'",
      'config.ts': "import type { Table } from './stores/postgres/columns.ts'",
    },
    [
      'stores/redis/store.ts imports stores/postgres/rows.ts, which is of one store',
      'client/client.ts imports stores/redis/store.ts, which is of one store',
      'config.ts imports stores/postgres/columns.ts, which is of one store',
    ],
  ],
  [
    'nothing outside src is imported',
    {
      'commands/demo/demo.ts': "import '../../../bench/orders.ts'; import '../../order/order.ts'",
      'cli.ts': "import type { X } from '../test/helpers/env.ts'",
    },
    ['commands/demo/demo.ts imports ../bench/orders.ts', 'cli.ts imports ../test/helpers/env.ts'],
  ],
  [
    'every import leads to a file',
    { 'order/order.ts': "import './next-step.ts'; import '../errors.ts'", 'errors.ts': '' },
    ['order/order.ts imports order/next-step.ts, which does not exist'],
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
    { 'cli.ts': "import { OrderExpiry } from './index.ts'", 'commands/pay.ts': "import '../client/client.ts'" },
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
    'every export is imported by somebody',
    {
      'index.ts': "export { a, type A as B } from './order/a.ts'; export const x = 1",
      'order/a.ts':
        'export const a = 1; export interface A {}; export class Dead {}; const c = 1; export { c as Gone }',
      'order/b.ts': "import { f as g, default as d } from './c.ts'; export type T = import('./d.ts').D",
      'order/c.ts': "import * as e from './e.ts'; export default e; export function f() {} export type Unused = 1",
      'order/d.ts': "const { d } = await import('./f.ts'); export type D = 1; export * from './g.ts'",
      'order/e.ts': 'export const e = 1',
      'order/f.ts': 'export const d = 1',
      'order/g.ts': 'export enum G {}',
    },
    ['order/a.ts: Dead', 'order/a.ts: Gone', 'order/b.ts: T', 'order/c.ts: Unused'],
  ],
  [
    'index.ts only re-exports',
    { 'index.ts': "export * from './errors.ts'; export const x = 1", 'errors.ts': 'export const y = 1' },
    ['index.ts does more than re-export'],
  ],
  [
    'the library imports nothing but bullmq, ioredis, zod',
    {
      'index.ts': "export { A } from './queue/client.ts'; export type { B } from './order/order.ts'",
      'queue/client.ts': "import 'bullmq'; import '../stores/redis.ts'",
      'stores/redis.ts': "import 'ioredis'; import 'node:net'; await import('./postgres.ts')",
      'stores/postgres.ts': "import pg from 'pg'",
      'order/order.ts': "import type { Logger } from 'pino'",
      'config.ts': "import 'fastest-levenshtein'",
      'nestjs/index.ts': "export { Module } from '@nestjs/common'",
      'testing/index.ts': "import '@nestjs/common'",
    },
    [
      'stores/postgres.ts is in the library and imports pg',
      'order/order.ts is in the library and imports pino',
      'testing/index.ts is in the library and imports @nestjs/common',
    ],
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

describe('the package of the library', () => {
  type Manifest = Record<'dependencies' | 'peerDependencies' | 'engines' | 'exports', Record<string, string>> & {
    version: string
  }
  const library = JSON.parse(readText('library/package.json')) as Manifest
  const daemon = JSON.parse(readText('package.json')) as Manifest

  test('has the version, the engines and the licence of the daemon', () => {
    expect(library).toMatchObject({ version: daemon.version, engines: daemon.engines })
    expect(readText('library/LICENSE')).toBe(readText('LICENSE'))
  })

  test('depends on nothing but what it may import, in the versions of the daemon', () => {
    expect(Object.keys(library.dependencies)).toEqual(LIBRARY_PACKAGES)
    // A shop has only one BullMQ then, with its own patches: where it adds jobs in another way, the library leaves that to it.
    const { bullmq, ...others } = library.dependencies
    expect(bullmq).toBe(`~${daemon.dependencies.bullmq}`)
    expect(daemon.dependencies).toMatchObject(others)
    expect(Object.keys(library.peerDependencies)).toEqual(Object.keys(PEERS))
  })

  test('has a subpath for each of its entry points, and no other', () => {
    const subpaths = Object.keys(library.exports).filter((subpath) => subpath !== './package.json')
    expect(subpaths.map((subpath) => posix.join(subpath, 'index.ts'))).toEqual(LIBRARY)
  })
})

describe('the version', () => {
  const { version } = JSON.parse(readText('package.json')) as { version: string }

  test('is stated in the lock file, with what has changed, and in what installs it', () => {
    const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, { version: string }> }
    expect(packages['']?.version).toBe(version)
    expect(/^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$/m.exec(readText('CHANGELOG.md'))?.[1]).toBe(version)
    for (const path of ['README.md', 'README.zh-CN.md', 'docs/library.md'])
      expect(readText(path)).toContain(`order-expiry-${version}.tgz`)
    const kubernetes = ['base/deployment.yaml', 'components/migrate/job.yaml'].map(
      (path) => `deploy/kubernetes/${path}`,
    )
    for (const path of ['docs/kubernetes.md', ...kubernetes])
      expect(readText(path)).toContain(`order-expiry:${version}`)
    expect(readText('deploy/kubernetes/example/kustomization.yaml')).toContain(`newTag: ${version}`)
  })
})

// Our scripts do what those of this version do. With others, checks would go by BullMQ's own.
test('the daemon has exactly the BullMQ whose scripts are known', () => {
  type Package = { dependencies: Record<string, string>; version: string }
  const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, Package> }
  const { dependencies } = JSON.parse(readText('package.json')) as Package
  expect([dependencies.bullmq, packages['']?.dependencies.bullmq, packages['node_modules/bullmq']?.version]).toEqual([
    KNOWN_BULLMQ,
    KNOWN_BULLMQ,
    KNOWN_BULLMQ,
  ])
})

test('npm start, the image and the tests give Node its memory alike', () => {
  const bounds = (file: string) =>
    [...readText(file).matchAll(/--(?:max|heap)-[a-z-]+=\d+/g)].map(([flag]) => flag).sort()
  const [npmStart = [], ...others] = ['scripts/start.sh', 'Dockerfile', 'test/helpers/daemon.ts'].map(bounds)
  expect(npmStart).toHaveLength(2)
  for (const other of others) expect(other).toEqual(npmStart)
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
