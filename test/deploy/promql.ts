import { parser } from '@prometheus-io/lezer-promql'

/** One metric in a query, such as `up{job="a"}`, and the labels by which it is chosen. */
export interface Selector {
  metric: string
  matchers: readonly { label: string; op: string; value: string }[]
}

interface Query {
  selectors: readonly Selector[]
  /** Labels that `by`, `on` and the like name, each with the selectors that it concerns. */
  groupings: readonly { label: string; selectors: readonly Selector[] }[]
}

type Node = ReturnType<typeof parser.parse>['topNode']

/** Where a range is grouped: the expression around it is what the labels belong to. */
const GROUPED = ['AggregateExpr', 'BinaryExpr']

/** @throws {SyntaxError} with the place, for what is no PromQL; and for a selector that names no metric */
export function parseQuery(text: string): Query {
  const textOf = ({ from, to }: Node) => text.slice(from, to)
  const nodes: Node[] = []
  parser.parse(text).iterate({
    enter({ node }) {
      if (node.type.isError) throw new SyntaxError(`no PromQL at ${node.from}: ${text}`)
      nodes.push(node)
    },
  })
  const found = nodes
    .filter(({ name }) => name === 'VectorSelector')
    .map((node) => ({ node, selector: readSelector(node, textOf) }))
  return {
    selectors: found.map(({ selector }) => selector),
    groupings: nodes
      .filter(({ name }) => name === 'GroupingLabels')
      .flatMap((node) => {
        const around = ancestor(node, GROUPED)
        const selectors = found
          .filter(({ node: { from, to } }) => around.from <= from && to <= around.to)
          .map(({ selector }) => selector)
        return node.getChildren('LabelName').map((label) => ({ label: textOf(label), selectors }))
      }),
  }
}

function readSelector(node: Node, textOf: (node: Node) => string): Selector {
  const name = node.getChild('Identifier')
  if (!name) throw new SyntaxError(`expected a metric by its name: ${textOf(node)}`)
  const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []
  return {
    metric: textOf(name),
    matchers: matchers.map((matcher) => {
      const [label, op, value] = ['LabelName', 'MatchOp', 'StringLiteral'].map((part) => matcher.getChild(part))
      if (!label || !op || !value)
        throw new SyntaxError(`expected a label, an operator and a value: ${textOf(matcher)}`)
      return { label: textOf(label), op: textOf(op), value: textOf(value).slice(1, -1) }
    }),
  }
}

function ancestor(node: Node, names: readonly string[]): Node {
  for (let at = node.parent; at; at = at.parent) if (names.includes(at.name)) return at
  throw new SyntaxError('expected an expression around the labels')
}
