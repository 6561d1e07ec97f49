/** The row of `EXPLAIN (FORMAT JSON)`. */
export type QueryPlan = { 'QUERY PLAN': [{ Plan: PlanNode }] }

export interface PlanNode
  extends Partial<Record<'Node Type' | 'Relation Name' | 'Alias' | 'Index Name' | 'Filter', string>> {
  'Plan Rows': number
  'Total Cost': number
  Schema: string
  Plans?: PlanNode[]
}

/** All nodes of a plan. */
export function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}
