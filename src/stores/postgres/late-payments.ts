import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import type { ToldPaidLate } from '../../order/store.ts'
import type { OrdersColumns } from './columns.ts'
import { type Connections, reading } from './connections.ts'
import { LATE_PAGE, LATE_SETTINGS, lateStatements } from './late-statements.ts'
import { nodesOf, type PlanNode, type QueryPlan } from './plan.ts'
import { splitTable, unquoteIdentifier } from './quoting.ts'
import { Reopening } from './reopening.ts'

/** By the planner's reckoning: some tens of thousands of rows from end to end. */
const MOST_COST = 5_000

/** The last order of a page: its time of payment, as the column has it, and its id. */
type Position = [paidAt: string, id: string]

const TOLD = z.object({
  seen: z.number(),
  last: z.tuple([z.string(), z.string()]).nullable(),
  told: z.array(z.string()),
  reopenable: z.array(z.string()),
})

interface LatePaymentsOptions {
  connections: Connections
  columns: OrdersColumns
  /** REOPEN_SQL_FILE, and for how long after a cancellation it is run. */
  reopenSql: string | undefined
  reopenMs: number | undefined
}

/**
 * Tells of payments that came after their order was cancelled, each once. Each round looks at the latest payments, and on at earlier
 * ones while it finds some to tell of; then at one page of all others, in turn: a payment may appear late, or under an earlier time.
 */
export class LatePayments {
  readonly #options: LatePaymentsOptions
  readonly #statements: ReturnType<typeof lateStatements>
  readonly #reopening: Reopening | undefined
  /** Tables of ours that the statements read. */
  readonly #ours: readonly string[]
  #newest: Position | undefined
  #rolling: Position | undefined
  #isRolling = false

  constructor(options: LatePaymentsOptions) {
    const { connections, columns, reopenSql, reopenMs } = options
    this.#options = options
    this.#statements = lateStatements(columns, { reopenMs: reopenSql === undefined ? undefined : reopenMs })
    this.#ours = [columns.latePayments, columns.registry].map((table) =>
      unquoteIdentifier(splitTable(table)?.at(-1) ?? ''),
    )
    this.#reopening =
      reopenSql === undefined
        ? undefined
        : new Reopening({ connections, columns, statements: this.#statements, sql: reopenSql })
  }

  /** One page. @throws {OrderExpiryError} STORE_* */
  async tell(): Promise<ToldPaidLate> {
    const page = await this.#tellPage(this.#isRolling ? this.#rolling : this.#newest)
    if (!page) return { orders: [], isMore: false, failed: unindexed(this.#options.columns) }
    const { told, reopenable } = page
    const { orders = [], failed } = (await this.#reopening?.run(reopenable)) ?? {}
    const isMore = this.#goOn(page)
    return { orders: [...told.map((orderId) => ({ orderId })), ...orders], isMore, ...(failed && { failed }) }
  }

  /** @returns whether there is more to look at in this round */
  #goOn({ seen, last, told, reopenable }: z.infer<typeof TOLD>): boolean {
    const next = seen === LATE_PAGE ? (last ?? undefined) : undefined
    if (this.#isRolling) {
      this.#rolling = next
      this.#isRolling = false
      return false
    }
    this.#newest = told.length + reopenable.length > 0 ? next : undefined
    if (this.#newest) return true
    this.#rolling = next && (this.#rolling ?? next)
    this.#isRolling = this.#rolling !== undefined
    return this.#isRolling
  }

  /** Undefined if that would read the table from end to end. */
  #tellPage(after: Position | undefined): Promise<z.infer<typeof TOLD> | undefined> {
    const { connections } = this.#options
    const sql = after ? this.#statements.next : this.#statements.newest
    const values: string[] = after ?? []
    const page = connections.transaction(`BEGIN; ${LATE_SETTINGS}`, async (client) => {
      const { rows } = await client.query<QueryPlan>(`EXPLAIN (FORMAT JSON) ${sql}`, values)
      const cost = rows.reduce((sum, row) => sum + this.#costOf(row['QUERY PLAN'][0].Plan), 0)
      if (cost > MOST_COST) return { end: 'ROLLBACK', value: undefined }
      return { end: 'COMMIT', value: TOLD.parse((await client.query(sql, values)).rows[0]) }
    })
    return reading(page)
  }

  /** Of reading orders otherwise than by an index that has the wanted ones only. */
  #costOf(plan: PlanNode): number {
    return nodesOf(plan)
      .filter((node) => node['Relation Name'] && node['Node Type'] !== 'ModifyTable')
      .filter((node) => !this.#ours.includes(node['Relation Name'] as string))
      .filter((node) => !node['Index Name'] || node.Filter)
      .reduce((sum, node) => sum + node['Total Cost'], 0)
  }
}

function unindexed({ name }: OrdersColumns): OrderExpiryError {
  const what = `payments after a cancellation are not looked for: ${name} has no index for them, and would be read from end to end`
  return new OrderExpiryError('STORE_MISMATCH', `${what}; \`order-expiry doctor\` has the statement`)
}
