import { z } from 'zod'
import {
  DROPPED_AT_ONCE,
  type ListedEvent,
  type Listing,
  type NewEvent,
  NUM_SHARES,
  type Outbox,
  type OutboxEvent,
} from '../../order/outbox.ts'
import { eventIdOf } from '../event-id.ts'
import type { OrdersColumns } from './columns.ts'
import { type Connections, reading } from './connections.ts'
import { canonicalId } from './ids.ts'
import { ms } from './instants.ts'
import { deliveriesIn, KEPT_DELIVERIES, keptDeliveries } from './kept-deliveries.ts'
import { isOfOrder, isOfTable } from './outbox.ts'
import { quoteLiteral } from './quoting.ts'

const UNDELIVERED = z.array(
  z.object({
    position: z.string(),
    id: z.string(),
    type: z.string(),
    orderId: z.string(),
    at: z.number().transform(Math.floor),
    table: z.string().nullable(),
    data: z.record(z.string(), z.unknown()).catch({}), // whoever wrote it: the receiver sees that it is empty
    failures: z.number(),
    waitMs: z
      .number()
      .nullable()
      .transform((wait) => wait ?? undefined),
  }),
)

const LISTED = z.array(
  KEPT_DELIVERIES.extend({
    position: z.string(),
    id: z.string(),
    type: z.string(),
    orderId: z.string(),
    at: z.number().transform(Math.floor),
  }),
)

function statementsOf(columns: OrdersColumns) {
  const { outbox } = columns
  return {
    /* $1 the last position, $2 shares, $3 limit, $4 sink. An index has what was not delivered, by id. */
    undelivered: `
SELECT o.id::text AS position, o.event_id AS id, o.type, o.order_id AS "orderId", ${ms('o.created_at')} AS at, o.orders_table AS table, o.data,
       coalesce((o.attempts -> $4::text ->> 'failures')::int, 0) AS failures,
       greatest((o.attempts -> $4::text ->> 'retryAt')::float8 - ${ms('now()')}, 0) AS "waitMs"
FROM ${outbox} o
WHERE o.delivered_at IS NULL AND o.id > coalesce($1::bigint, 0) AND NOT o.delivered_to @> ARRAY[$4::text]
  AND o.attempts -> $4::text -> 'givenUpAt' IS NULL AND (hashtext(o.order_id) & ${NUM_SHARES - 1}) = ANY ($2::int[])
  AND ${isOfTable(columns)}
ORDER BY o.id LIMIT $3`,

    list: listStatements(columns),

    /* $1 positions. */
    drop: `DELETE FROM ${outbox} WHERE id = ANY ($1::bigint[])`,

    /* $1 positions, $2 sink, $3 all sinks. Of one alone, delivered_at tells when. */
    note: `
UPDATE ${outbox}
SET delivered_to = delivered_to || $2::text, delivered_at = CASE WHEN delivered_to || $2::text @> $3::text[] THEN now() END,
    attempts = CASE WHEN cardinality($3::text[]) = 1 THEN attempts ELSE coalesce(attempts, '{}') || jsonb_build_object($2::text,
      coalesce(attempts -> $2::text, '{}') || jsonb_build_object('deliveredAt', ${ms('now()')})) END
WHERE id = ANY ($1::bigint[]) AND NOT delivered_to @> ARRAY[$2::text]`,

    /* $1 position, $2 sink, $3 failures, $4 milliseconds until the next attempt, or null: given up, $5 why. */
    fail: `
UPDATE ${outbox}
SET attempts = coalesce(attempts, '{}') || jsonb_build_object($2::text, jsonb_build_object(
  'failures', $3::int, 'why', $5::text, CASE WHEN $4::float8 IS NULL THEN 'givenUpAt' ELSE 'retryAt' END,
  ${ms('now()')} + coalesce($4::float8, 0)))
WHERE id = $1::bigint`,

    /* $1 ids, $2 types, $3 order ids, $4 data. What is there already is known by an index. */
    add: `
INSERT INTO ${outbox} (event_id, type, order_id, orders_table, data)
SELECT e.id, e.type, e.order_id, ${quoteLiteral(columns.name)}, e.data
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) AS e (id, type, order_id, data)
ON CONFLICT DO NOTHING`,

    /* $1 positions, $2 sink. */
    replay: `
UPDATE ${outbox}
SET delivered_to = array_remove(delivered_to, $2::text), delivered_at = NULL, attempts = nullif(attempts - $2::text, '{}')
WHERE id = ANY ($1::bigint[])`,

    /* $1 for how many milliseconds they are kept, $2 limit. */
    dropDelivered: `
DELETE FROM ${outbox} WHERE id = ANY (ARRAY(
  SELECT id FROM ${outbox} WHERE delivered_at < now() - $1::float8 * interval '1 ms' ORDER BY delivered_at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
  }
}

/** $1 the last position, $2 limit; $3 sinks, an order id or the id of an event, or nothing. */
function listStatements(columns: OrdersColumns) {
  const page = (filter: string) => `
SELECT o.id::text AS position, o.event_id AS id, o.type, o.order_id AS "orderId", ${ms('o.created_at')} AS at, ${keptDeliveries('o')}
FROM ${columns.outbox} o
WHERE o.id > coalesce($1::bigint, 0) AND ${isOfTable(columns)} AND ${filter}
ORDER BY o.id LIMIT $2`
  const isGivenUp = `EXISTS (SELECT FROM unnest($3::text[]) s (sink) WHERE o.attempts -> s.sink -> 'givenUpAt' IS NOT NULL)`
  return {
    undelivered: page('o.delivered_at IS NULL'),
    givenUp: page(`o.delivered_at IS NULL AND ${isGivenUp}`),
    ofOrder: page(isOfOrder(columns, '$3::text')),
    one: page('o.event_id::text = $3::text'),
  }
}

/** The outbox table, for who delivers its events. */
export class PostgresDeliveries implements Outbox {
  readonly #connections: Connections
  readonly #columns: OrdersColumns
  readonly #statements: ReturnType<typeof statementsOf>

  constructor({ connections, columns }: { connections: Connections; columns: OrdersColumns }) {
    this.#connections = connections
    this.#columns = columns
    this.#statements = statementsOf(columns)
  }

  async undelivered({ sink, after, shares, limit }: Parameters<Outbox['undelivered']>[0]) {
    const { rows } = await this.#run(this.#statements.undelivered, [after ?? null, shares, limit, sink])
    const events = UNDELIVERED.parse(rows).map(
      ({ table, data, ...event }): OutboxEvent => ({ ...event, data: table === null ? data : { ...data, table } }),
    )
    return { events, readTo: events.at(-1)?.position ?? after, isMore: events.length === limit }
  }

  async delivered(events: readonly OutboxEvent[], { sink, sinks, keep }: Parameters<Outbox['delivered']>[1]) {
    const positions = events.map(({ position }) => position)
    if (sinks.length === 1 && !keep) await this.#run(this.#statements.drop, [positions])
    else await this.#run(this.#statements.note, [positions, sink, sinks])
  }

  async failed({ position, failures }: OutboxEvent, { sink, retryInMs, why }: Parameters<Outbox['failed']>[1]) {
    await this.#run(this.#statements.fail, [position, sink, failures, retryInMs ?? null, why])
  }

  async list({ sinks, only, after, limit }: Listing): Promise<ListedEvent[]> {
    const { undelivered, givenUp, ofOrder, one } = this.#statements.list
    const ask = async (sql: string, ...more: unknown[]) => {
      const { rows } = await this.#run(sql, [after ?? null, limit, ...more])
      return LISTED.parse(rows).map(({ deliveredTo, attempts, deliveredAt, ...event }) => ({
        ...event,
        deliveries: deliveriesIn({ deliveredTo, attempts, deliveredAt }, sinks),
      }))
    }
    if (only === undefined) return ask(undelivered)
    if (only === 'given-up') return ask(givenUp, sinks)
    return 'id' in only ? ask(one, only.id) : ask(ofOrder, canonicalId(this.#columns.idType, only.orderId))
  }

  async add(events: readonly NewEvent[]): Promise<void> {
    const { idType, name } = this.#columns
    const rows = events.map((event) => {
      const orderId = canonicalId(idType, event.orderId)
      return [eventIdOf(name, { ...event, orderId }), event.type, orderId, JSON.stringify(event.data)]
    })
    const column = (at: number) => rows.map((row) => row[at])
    await this.#run(this.#statements.add, [column(0), column(1), column(2), column(3)])
  }

  async replay(events: Parameters<Outbox['replay']>[0], { sink }: Parameters<Outbox['replay']>[1]): Promise<void> {
    await this.#run(this.#statements.replay, [events.map(({ position }) => position), sink])
  }

  async dropDelivered(keptMs: number): Promise<number> {
    return (await this.#run(this.#statements.dropDelivered, [keptMs, DROPPED_AT_ONCE])).rowCount ?? 0
  }

  #run(sql: string, values: unknown[]) {
    return reading(this.#connections.with((client) => client.query(sql, values)))
  }
}
