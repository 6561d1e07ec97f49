import { type FigureName, medianOf, medianRatio, mostOf } from './figures.ts'
import { CASES as GROWTH_CASES } from './growth-cases.ts'
import { CASES as MEMORY_CASES } from './memory-cases.ts'
import type { Measured } from './question.ts'
import { CASES as COLUMN_CASES } from './shop-columns-cases.ts'

/** A target for a figure of ours, or for its ratio to another one. */
export interface Goal {
  title: string
  of: FigureName
  /** The divisor; the ratio is taken within each round. */
  to?: FigureName
  bound: { atLeast: number } | { atMost: number } | { below: number }
  unit: string
  decimals: number
  /** Over the rounds; default the median. */
  over?: 'most'
  /** Its question is put only by name: a run without it is whole all the same. */
  isApart?: true
}

export interface Judged {
  goal: Goal
  /** Undefined: not measured. */
  figure: number | undefined
  verdict: 'reached' | 'missed' | 'not measured'
}

/** How each goal stands. Missing one is a result like any other. */
export function judge(measured: readonly Measured[], goals: readonly Goal[] = GOALS): Judged[] {
  return goals.map((goal) => {
    const figure = figureOf(measured, goal)
    if (figure === undefined) return { goal, figure, verdict: 'not measured' }
    return { goal, figure, verdict: isReached(figure, goal.bound) ? 'reached' : 'missed' }
  })
}

/** The bound in words, such as `at least 2.5`. */
export function describeBound({ bound, unit, decimals }: Goal): string {
  const amount = (value: number) =>
    `${value.toLocaleString('en', { maximumFractionDigits: decimals })}${unit && ` ${unit}`}`
  if ('atLeast' in bound) return `at least ${amount(bound.atLeast)}`
  if ('atMost' in bound) return bound.atMost === 0 ? 'none' : `at most ${amount(bound.atMost)}`
  return `under ${amount(bound.below)}`
}

function figureOf(measured: readonly Measured[], { of, to, over }: Goal): number | undefined {
  if (to) return medianRatio(measured, of, to)
  return over === 'most' ? mostOf(measured, of) : medianOf(measured, of)
}

function isReached(figure: number, bound: Goal['bound']): boolean {
  if ('atLeast' in bound) return figure >= bound.atLeast
  return 'atMost' in bound ? figure <= bound.atMost : figure < bound.below
}

const burst = (contender: string, key = 'settledPerSecond') => ({ question: 'burst', contender, case: '', key })
const relay = (contender: string, key = 'settledPerSecond') => ({ question: 'relay', contender, case: '', key })
const million = (key: string) => ({ question: 'million', contender: 'ours', case: '', key })
const lateness = (contender: string, ofCase: string, key = 'p99') => ({
  question: 'lateness',
  contender,
  case: ofCase,
  key,
})
const memory = (contender: string, ofCase: string) => ({
  question: 'memory',
  contender,
  case: ofCase,
  key: 'bytesPerOrder',
})
const schedule = (contender: string, ofCase: string) => ({
  question: 'schedule',
  contender,
  case: ofCase,
  key: 'perSecond',
})
const growth = (ofCase: string) => ({ question: 'growth', contender: 'ours', case: ofCase, key: 'settledPerSecond' })

const columns = (ofCase: string) => ({ question: 'columns', contender: 'ours', case: ofCase, key: 'settledPerSecond' })

const api = (key: string) => ({ question: 'api', contender: 'ours', case: '', key })

const ratioAtLeast = (title: string, of: FigureName, to: FigureName, atLeast: number): Goal => ({
  title,
  of,
  to,
  bound: { atLeast },
  unit: '',
  decimals: 2,
})

const ratioAtMost = (title: string, of: FigureName, to: FigureName, atMost: number): Goal => ({
  ...ratioAtLeast(title, of, to, 0),
  bound: { atMost },
})

const cpuAtMost = (process: string, key: string, atMost: number): Goal => ({
  title: `burst: CPU of an order, ${process}`,
  of: burst('ours', key),
  bound: { atMost },
  unit: 'µs',
  decimals: 1,
})

const noneWrong = (title: string, of: FigureName): Goal => ({
  title,
  of,
  bound: { atMost: 0 },
  unit: '',
  decimals: 0,
  over: 'most',
})

function latenessGoals(ofCase: string, atMost: number): Goal[] {
  const [of, was] = [lateness('ours', ofCase), lateness('before', ofCase)]
  return [
    { title: `lateness at ${ofCase}, p99`, of, bound: { atMost }, unit: 'ms', decimals: 1 },
    ratioAtMost(`lateness at ${ofCase}, p99: ours / before`, of, was, 0.8),
  ]
}

/** The floors of the bench on two cores. */
export const GOALS: readonly Goal[] = [
  ratioAtMost('burst: CPU of an order, in all: ours / before', burst('ours', 'cpu'), burst('before', 'cpu'), 0.42),
  cpuAtMost('daemon', 'workerCpu', 15),
  cpuAtMost('Redis', 'redisCpu', 20),
  cpuAtMost('PostgreSQL', 'postgresCpu', 15),
  ratioAtLeast('burst: ours / bullmq', burst('ours'), burst('bullmq'), 4.5),
  ratioAtLeast('burst: ours / bullmq-empty', burst('ours'), burst('bullmq-empty'), 1.4),
  ratioAtLeast('burst: ours / graphile-worker', burst('ours'), burst('graphile-worker'), 3.3),
  ratioAtLeast('burst: ours / pg-boss', burst('ours'), burst('pg-boss'), 3.5),
  ratioAtLeast('burst: ours / cron', burst('ours'), burst('cron'), 0.85),
  ratioAtLeast('burst: ours-wrapped / before', burst('ours-wrapped'), burst('before'), 1.4),
  noneWrong('burst: orders wrongly decided by ours, in any round', burst('ours', 'wrong')),
  ratioAtLeast(
    'burst with ORDERS_CONDITION, ORDERS_SET and ORDERS_DEADLINE_AFTER / without',
    columns(COLUMN_CASES.all),
    columns(COLUMN_CASES.without),
    0.9,
  ),
  ...latenessGoals('100/s', 6),
  ...latenessGoals('1,000/s', 6),
  ...latenessGoals('4,000/s', 8),
  ...latenessGoals('10,000/s', 15),
  {
    title: 'lateness while Redis is away, at 1,000/s, p99',
    of: { question: 'redis-away', contender: 'ours', case: '', key: 'p99' },
    bound: { atMost: 1_000 },
    unit: 'ms',
    decimals: 0,
  },
  {
    title: 'lost reply: until the last order is cancelled',
    of: { question: 'lost-reply', contender: 'ours', case: '', key: 'secondsUntilLast' },
    bound: { atMost: 2 },
    unit: 's',
    decimals: 1,
  },
  {
    title: 'memory per waiting order, UUID, default Redis',
    of: memory('ours', MEMORY_CASES.uuidDefault),
    bound: { atMost: 460 },
    unit: 'B',
    decimals: 0,
  },
  ratioAtMost(
    'memory, UUID, default Redis: ours / bullmq',
    memory('ours', MEMORY_CASES.uuidDefault),
    memory('bullmq', MEMORY_CASES.uuidDefault),
    0.6,
  ),
  ...['one after the other', 'concurrent'].map((ofCase) =>
    ratioAtLeast(`schedule, ${ofCase}: ours / queue.add`, schedule('ours', ofCase), schedule('bullmq', ofCase), 0.9),
  ),
  ratioAtLeast('schedule, bulk: ours / addBulk', schedule('ours', 'bulk'), schedule('bullmq', 'bulk'), 3),
  {
    title: 'schedule: event loop held by 10,000 orders',
    of: { ...schedule('ours', 'bulk'), key: 'longestHoldMs' },
    bound: { atMost: 10 },
    unit: 'ms',
    decimals: 1,
  },
  ratioAtLeast(
    'settle rate, 1 million waiting / 10 thousand',
    growth(GROWTH_CASES.million),
    growth(GROWTH_CASES.tenThousand),
    0.9,
  ),
  {
    title: 'idle: CPU of the daemon',
    of: { question: 'idle', contender: 'ours', case: '', key: 'workerPercent' },
    bound: { below: 1 },
    unit: '% of a core',
    decimals: 2,
  },
  { title: 'API: PUT', of: api('putsPerSecond'), bound: { atLeast: 4_000 }, unit: '/s', decimals: 0 },
  { title: 'API: orders in batches', of: api('batchedPerSecond'), bound: { atLeast: 15_000 }, unit: '/s', decimals: 0 },
  { title: 'API: ready', of: api('readyMs'), bound: { below: 2_000 }, unit: 'ms', decimals: 0 },
  { title: 'API: resident memory', of: api('residentMb'), bound: { below: 120 }, unit: 'MB', decimals: 0 },
  ...[
    {
      title: 'a million due at once: until the last is settled',
      of: million('secondsUntilLast'),
      bound: { below: 60 },
      unit: 's',
      decimals: 0,
    },
    {
      title: 'a million due at once: memory of the daemon, at most',
      of: million('peakMb'),
      bound: { below: 300 },
      unit: 'MB',
      decimals: 0,
    },
    noneWrong('a million due at once: orders wrongly decided', million('wrong')),
    ratioAtLeast('burst with a receiver of webhooks / without', relay('ours-webhook'), relay('ours'), 0.8),
    {
      title: 'events delivered to one receiver',
      of: relay('ours-webhook', 'deliveredPerSecond'),
      bound: { atLeast: 5_000 },
      unit: '/s',
      decimals: 0,
    },
  ].map((goal): Goal => ({ ...goal, isApart: true })),
]
