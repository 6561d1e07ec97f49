import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { parseSync } from '@swc/core'

/** What a source imports, exports again, or imports when it comes to it. */
export interface Import {
  /** A path below src, the name of a package, or of a built-in module. */
  from: string
  /** What it takes from there; `*` where that may be anything. */
  names: string[]
  /** True for `import type` alone: under verbatimModuleSyntax, `import { type X }` still loads the module. */
  typeOnly: boolean
}

/** A source as the rules of the architecture see it. */
export interface Source {
  /** Below src, with `/`. */
  path: string
  imports: Import[]
  /** Every `name` and `name.property` in its code, `new Date()` and `Date()`; not those in comments and strings. */
  uses: Set<string>
  /** The names that it exports. */
  exports: string[]
  /** Nothing but `export … from`. */
  onlyReExports: boolean
}

/** Reads the text of a source. Throws if it is no TypeScript. */
export function readSource(path: string, text: string): Source {
  const { body } = parseSync(text, { syntax: 'typescript', decorators: true, target: 'es2022' })
  const source: Source = {
    path,
    imports: [],
    uses: new Set(),
    exports: [],
    onlyReExports: body.every((node) => node.type.startsWith('Export') && 'source' in node && node.source),
  }
  visit(body, source)
  return source
}

/** A node of the syntax tree, of which nothing but the type is known. */
type Node = { readonly type?: string } & { readonly [part: string]: unknown }

function visit(value: unknown, source: Source): void {
  if (Array.isArray(value)) for (const part of value) visit(part, source)
  else if (isNode(value)) visit(look(value, source), source)
}

/** Writes down what the node itself says. @returns the parts that are still to be visited */
function look(node: Node, source: Source): unknown {
  switch (node.type) {
    case 'ImportDeclaration':
      return addImport(node.source, { names: importedNames(node), typeOnly: node.typeOnly === true }, source)
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      source.exports.push(
        ...nodes(node.specifiers).flatMap(({ exported, orig, name }) => textOf(exported ?? orig ?? name) ?? []),
      )
      return addImport(node.source, { names: importedNames(node), typeOnly: node.typeOnly === true }, source)
    case 'ExportDeclaration':
      source.exports.push(...declaredNames(node.declaration))
      break
    case 'ExportDefaultDeclaration':
    case 'ExportDefaultExpression':
      source.exports.push('default')
      break
    case 'TsImportType':
      return addImport(node.argument, { names: [textOf(node.qualifier) ?? '*'], typeOnly: true }, source)
    case 'CallExpression':
      if (isNode(node.callee) && node.callee.type === 'Import') {
        for (const { expression } of nodes(node.arguments))
          addImport(expression, { names: ['*'], typeOnly: false }, source)
      }
      if (textOf(node.callee) === 'Date') source.uses.add('Date()')
      break
    case 'NewExpression':
      if (textOf(node.callee) === 'Date' && nodes(node.arguments).length === 0) source.uses.add('new Date()')
      break
    case 'MemberExpression':
      return lookAtMember(node, source)
    case 'Identifier':
      source.uses.add(String(node.value))
      return node.typeAnnotation
    case 'KeyValueProperty':
    case 'MethodProperty':
    case 'ClassProperty':
    case 'ClassMethod': {
      const { key: _, ...rest } = node // a key is a name that is given, not one that is used
      return Object.values(rest)
    }
  }
  return Object.values(node)
}

function lookAtMember({ object, property }: Node, source: Source): unknown {
  const name = textOf(object)
  const isComputed = isNode(property) && property.type === 'Computed'
  const member = isComputed ? stringOf(property.expression) : textOf(property)
  if (name !== undefined && member !== undefined) source.uses.add(`${name}.${member}`)
  // `process` alone is what could be used for anything; `process.pid` is not.
  return [name === 'process' && member !== undefined ? [] : object, isComputed ? property : []]
}

function importedNames({ type, specifiers }: Node): string[] {
  if (type === 'ExportAllDeclaration') return ['*']
  return nodes(specifiers).flatMap((specifier) => {
    if (specifier.type === 'ImportNamespaceSpecifier') return ['*']
    if (specifier.type === 'ImportDefaultSpecifier') return ['default']
    return textOf(specifier.imported ?? specifier.orig ?? specifier.local) ?? []
  })
}

function declaredNames(declaration: unknown): string[] {
  if (!isNode(declaration)) return []
  const declared = declaration.type === 'VariableDeclaration' ? nodes(declaration.declarations) : [declaration]
  return declared.flatMap(({ identifier, id }) => textOf(identifier ?? id) ?? [])
}

function addImport(specifier: unknown, taken: Omit<Import, 'from'>, source: Source): undefined {
  const text = stringOf(specifier)
  if (text !== undefined) source.imports.push({ from: moduleOf(source.path, text), ...taken })
  return undefined
}

function moduleOf(path: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(path), specifier)
  if (isBuiltin(specifier)) return specifier
  const [first = '', second] = specifier.split('/')
  return first.startsWith('@') ? `${first}/${second}` : first
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nodes(value: unknown): Node[] {
  return Array.isArray(value) ? value.filter(isNode) : []
}

function textOf(value: unknown): string | undefined {
  return isNode(value) && value.type === 'Identifier' ? String(value.value) : undefined
}

function stringOf(value: unknown): string | undefined {
  return isNode(value) && value.type === 'StringLiteral' ? String(value.value) : undefined
}
