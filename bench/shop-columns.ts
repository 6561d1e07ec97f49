import { ours, startOurs } from './contenders/ours.ts'
import { withDatabase } from './orders.ts'
import type { Context, Measured, Question } from './question.ts'
import { OURS } from './question-tables.ts'
import { Lead } from './run.ts'
import { dueAtOnce, settleOrders } from './settle-orders.ts'
import { CASES } from './shop-columns-cases.ts'

const ORDERS = 20_000
const QUICK_ORDERS = 1_000
/** Before them, to warm the daemon up. */
const FIRST = 5_000
/** Filling in an order and placing it, before it is known how long it takes. */
const GUESS_MS = 0.25

/** All variants have the same columns. */
const TABLE = `
ALTER TABLE orders ADD COLUMN create_time timestamptz, ADD COLUMN deleted_at timestamptz, ADD COLUMN version int NOT NULL DEFAULT 0;
CREATE FUNCTION date_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.create_time := NEW.payment_deadline - interval '30 minutes';
  RETURN NEW;
END $$;
CREATE TRIGGER date_back BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION date_back();`

interface Variant {
  case: string
  settings: Record<string, string>
  /** Gives it the index that our doctor asks for. */
  sql: string
}

const VARIANTS: readonly Variant[] = [
  { case: CASES.without, settings: {}, sql: '' },
  {
    case: CASES.all,
    settings: {
      ORDERS_DEADLINE_COLUMN: 'create_time',
      ORDERS_DEADLINE_AFTER: '30m',
      ORDERS_CONDITION: 'deleted_at IS NULL',
      ORDERS_SET: 'version = version + 1',
    },
    sql: `DROP INDEX orders_unpaid;
      CREATE INDEX orders_unpaid ON orders (create_time, id) WHERE status IN ('pending') AND paid_at IS NULL AND (deleted_at IS NULL);`,
  },
]

/** What it costs to look at more columns of the shop's table, and to write more. */
export function shopColumnsQuestion(): Question {
  return {
    name: 'columns',
    title: `${ORDERS.toLocaleString('en')} orders due at once, half of them paid: how many our daemon settles per second without further settings, and with ORDERS_CONDITION, ORDERS_SET and ORDERS_DEADLINE_AFTER.`,
    columns: [
      { key: 'workerCpu', title: 'CPU of the worker', unit: 'µs/order', better: 'less' },
      { key: 'postgresCpu', title: 'of PostgreSQL', unit: 'µs/order', better: 'less' },
      { key: 'settledPerSecond', title: 'settled', unit: '/s', better: 'more' },
    ],
    seconds: 35,
    async run(context) {
      if (!context.contenders.some(({ name }) => name === OURS)) return []
      const measured: Measured[] = []
      // In turn, so that neither is always the first.
      const variants = context.round % 2 === 1 ? VARIANTS : VARIANTS.toReversed()
      for (const variant of variants) measured.push(await measure(context, variant))
      return measured
    },
  }
}

async function measure(context: Context, variant: Variant): Promise<Measured> {
  const { servers, quick, round, progress } = context
  progress(variant.case)
  await servers.reset()
  await withDatabase(servers, (database) => database.query(TABLE + variant.sql))
  const running = await startOurs(servers, { settings: variant.settings })
  try {
    const lead = new Lead(GUESS_MS)
    const burst = (count: number) => {
      const makeOrders = (from: number) => dueAtOnce(from, count)
      return settleOrders({ servers, contender: ours, running, lead, waiting: 0, makeOrders })
    }
    await burst(quick ? QUICK_ORDERS : FIRST)
    const { orders, perSecond, cpu } = await burst(quick ? QUICK_ORDERS : ORDERS)
    const microsOf = (seconds: number) => (seconds * 1_000_000) / orders.length
    const figures = {
      settledPerSecond: perSecond,
      workerCpu: microsOf(cpu.worker),
      postgresCpu: microsOf(cpu.postgres),
    }
    return { question: 'columns', contender: OURS, case: variant.case, round, figures }
  } finally {
    await running.stop()
  }
}
