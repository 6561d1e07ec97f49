#!/usr/bin/env node
// Prints how large the house is, and whether it keeps within its bounds. Exits 1 if it does not.
//
//   node scripts/house.mjs            the table
//   node scripts/house.mjs --json     the same as JSON, without what takes a Redis to measure
//   … | node scripts/house.mjs --json --stdin     of the sources in a JSON object, { path below src: text }
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseSync } from '@swc/core'

const ROOT = new URL('../', import.meta.url)

/** A file, or a function, with more lines than this is listed as long. */
const LONG_FILE = 300
const LONG_FUNCTION = 60

/** The only files outside the folders of the stores that may know them by name. */
const MAY_KNOW_STORES = ['stores/kinds.ts', 'stores/records.ts']

const FUNCTIONS = [
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
  'GetterProperty',
  'SetterProperty',
]

/** Redis is also the server of the queue: as a name among services, and as a member that is picked from a type. */
const NAMES_OF_SERVICES = ['name', 'service', 'subject']
const PICKING_TYPES = ['Pick', 'Omit']

const { values } = parseArgs({ options: { json: { type: 'boolean' }, stdin: { type: 'boolean' } } })
const sources = values.stdin ? JSON.parse(await text(process.stdin)) : readSources()
const figures = measure(sources)
if (values.json) console.log(JSON.stringify(figures))
else {
  figures.push(...measureSchedule())
  print(figures)
  if (figures.some(({ value, most }) => !(value <= most))) process.exitCode = 1
}

function readSources() {
  const folder = fileURLToPath(new URL('src/', ROOT))
  const paths = readdirSync(folder, { recursive: true }).map((path) => path.replaceAll('\\', '/'))
  const sources = paths.filter((path) => path.endsWith('.ts')).sort()
  return Object.fromEntries(sources.map((path) => [path, readFileSync(`${folder}${path}`, 'utf8')]))
}

/** What the sources say. `value` is to be at most `most`; `list` names what counts towards it. */
function measure(sources) {
  const files = Object.entries(sources).map(([path, code]) => ({ path, code, tree: parse(path, code) }))
  const sizes = files.map(({ path, code }) => ({ path, lines: countLines(code) })).sort(byLines)
  const functions = files.flatMap(functionsOf).sort(byLines)
  const longFiles = sizes.filter(({ lines }) => lines > LONG_FILE)
  const longFunctions = functions.filter(({ lines }) => lines > LONG_FUNCTION)
  const knowing = files.map((file) => ({ path: file.path, names: storeNames(file, sources) }))
  const knowers = knowing.filter(({ names }) => names.length > 0)
  return [
    { what: 'lines of src', value: sizes.reduce((sum, { lines }) => sum + lines, 0), most: 32_200, list: [] },
    { what: 'lines of the median file', value: median(sizes.map(({ lines }) => lines)), most: 74, list: [] },
    {
      what: 'lines of the largest file',
      value: sizes[0]?.lines ?? 0,
      most: LONG_FILE,
      list: sizes.slice(0, 1).map(sized),
    },
    { what: `files over ${LONG_FILE} lines`, value: longFiles.length, most: 0, list: longFiles.map(sized) },
    {
      what: 'lines of the longest function',
      value: functions[0]?.lines ?? 0,
      most: 100,
      list: functions.slice(0, 1).map(sized),
    },
    {
      what: `functions over ${LONG_FUNCTION} lines`,
      value: longFunctions.length,
      most: 8,
      list: longFunctions.map(sized),
    },
    {
      what: 'files that know a store by name',
      value: knowers.length,
      most: 0,
      list: knowers.map(({ path, names }) => `${path}: ${[...new Set(names)].join(', ')}`),
    },
  ]
}

function byLines(a, b) {
  return b.lines - a.lines
}

function sized({ path, name, lines }) {
  return name === undefined ? `${path} ${lines}` : `${path} ${name} ${lines}`
}

/** The lines of a text whose last line ends with a line break. */
function countLines(code) {
  return code.split('\n').length - 1
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/**
 * The syntax tree of a source, and the line of each of its positions. Positions count bytes from one that is not the same in each
 * version of swc: the semicolon put in front has the first.
 */
function parse(path, code) {
  const text = `;${code.replace(/^#!/, '//')}`
  try {
    const tree = parseSync(text, { syntax: 'typescript', decorators: true, target: 'es2022' })
    const bytes = Buffer.from(text)
    const breaks = [...bytes.keys()].filter((at) => bytes[at] === 10)
    return { body: tree.body, lineAt: (position) => firstAtLeast(breaks, position - tree.span.start) + 1 }
  } catch (error) {
    throw new Error(`${path} is not TypeScript`, { cause: error })
  }
}

/** How many of the sorted numbers are less than the bound. */
function firstAtLeast(sorted, bound) {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle] < bound) from = middle + 1
    else to = middle
  }
  return from
}

/** Every function, however it is written, also within another one; classes do not count. */
function functionsOf({ path, tree }) {
  const found = []
  visit(tree.body, (node, around) => {
    if (!FUNCTIONS.includes(node.type)) return
    const [first, last] = [tree.lineAt(node.span.start), tree.lineAt(node.span.end - 1)]
    const lines = last - first + 1
    found.push({ path: `${path}:${first}`, name: nameOf(node) ?? nameOf(around.at(-1)) ?? 'anonymous', lines })
  })
  return found
}

/** The name that a function, variable, property or assignment has. */
function nameOf(node) {
  if (node?.type === 'Constructor') return 'constructor'
  const { type, value } = node?.identifier ?? node?.key ?? node?.id ?? node?.left ?? {}
  return type === 'PrivateName' ? `#${value}` : value
}

/**
 * Where a source outside the folder of a store knows that store: by an import from its folder, by its name as a string, or as
 * `ORDER_STORE=name` in a text.
 */
function storeNames({ path, tree }, sources) {
  if (MAY_KNOW_STORES.includes(path)) return []
  const names = new Set(Object.keys(sources).flatMap((path) => /^stores\/([^/]+)\//.exec(path)?.[1] ?? []))
  const own = /^stores\/([^/]+)\//.exec(path)?.[1]
  const others = [...names].filter((name) => name !== own)
  const found = []
  visit(tree.body, (node, around) => {
    for (const said of textsOf(node)) {
      const isImport = said.startsWith('.') && said.endsWith('.ts')
      const target = isImport ? posix.join(posix.dirname(path), said) : said
      for (const name of others) {
        if (isImport && target.startsWith(`stores/${name}/`)) found.push(target)
        if (new RegExp(`\\bORDER_STORE=${name}\\b`).test(said)) found.push(`ORDER_STORE=${name}`)
        if (said === name && !namesSomethingElse(around)) found.push(`'${name}'`)
      }
    }
  })
  return found
}

function textsOf({ type, value, raw }) {
  if (type === 'StringLiteral') return [value]
  return type === 'TemplateElement' ? [raw] : []
}

function namesSomethingElse(around) {
  return around.some(
    ({ type, key, typeName, indexType }, index) =>
      (type === 'KeyValueProperty' && index === around.length - 1 && NAMES_OF_SERVICES.includes(key.value)) ||
      (type === 'TsPropertySignature' && NAMES_OF_SERVICES.includes(key.value)) ||
      (type === 'TsTypeReference' && PICKING_TYPES.includes(typeName.value)) ||
      (type === 'TsIndexedAccessType' && around.includes(indexType)),
  )
}

/** Calls `look` with each node of a syntax tree, and with the nodes around it, the outermost first. */
function visit(value, look, around = []) {
  if (Array.isArray(value)) for (const part of value) visit(part, look, around)
  else if (typeof value === 'object' && value !== null) {
    const isNode = typeof value.type === 'string'
    if (isNode) look(value, around)
    const inside = isNode ? [...around, value] : around
    for (const part of Object.values(value)) visit(part, look, inside)
  }
}

/** What is on the stack when `schedule` writes to Redis, as a script of its own finds out. */
function measureSchedule() {
  const script = fileURLToPath(new URL('scripts/schedule-path.mjs', ROOT))
  const bounds = [
    { what: 'functions from schedule to Redis', most: 11 },
    { what: 'files from schedule to Redis', most: 7 },
  ]
  const missing = (why) => bounds.map((bound) => ({ ...bound, value: Number.NaN, list: [`not measured: ${why}`] }))
  if (!existsSync(script)) return missing('there is no scripts/schedule-path.mjs')
  if (!existsSync(new URL('dist/index.js', ROOT))) return missing('npm run build comes first')
  try {
    const { functions, files, path } = JSON.parse(execFileSync(process.execPath, [script], { encoding: 'utf8' }))
    return [
      { ...bounds[0], value: functions, list: path.map(String) },
      { ...bounds[1], value: files, list: [] },
    ]
  } catch (error) {
    return missing(error.message)
  }
}

function print(figures) {
  const rows = figures.map(({ what, value, most }) => [
    what,
    Number.isNaN(value) ? '?' : value.toLocaleString('en'),
    `at most ${most.toLocaleString('en')}`,
    value <= most ? 'held' : 'NOT HELD',
  ])
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)))
  for (const [index, [what, value, most, verdict]] of rows.entries()) {
    console.log(`${what.padEnd(widths[0])}  ${value.padStart(widths[1])}  ${most.padEnd(widths[2])}  ${verdict}`)
    for (const line of figures[index].list) console.log(`    ${line}`)
  }
}
