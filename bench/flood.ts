import { startWorker } from './child.ts'
import { ours, startOurs } from './contenders/ours.ts'
import { CASES } from './flood-cases.ts'
import { makeOrders, readSettled } from './orders.ts'
import { quantile } from './quantiles.ts'
import type { Context, Measured, Question } from './question.ts'
import { OURS } from './question-tables.ts'
import { residentBytes } from './resident.ts'
import { Lead, untilFinished, withOrdersDue } from './run.ts'

const PER_SECOND = 200
const WINDOW_MS = 10_000
const QUICK_WINDOW_MS = 1_000
/** Before the first deadline, the flood has begun. */
const HEAD_START_MS = 2_000
/** An order that is not cancelled this long after the last deadline is missing. */
const GIVE_UP_MS = 20_000
const PROBE_EVERY_MS = 250
const PROBE_WITHIN_MS = 3_000

interface Flood {
  path: string
  connections: number
  /** Requests written at once. */
  pipelined: number
  /** Of each request. */
  headers?: string
}

const FLOODS: readonly { case: string; flood?: Flood }[] = [
  { case: CASES.none },
  { case: CASES.readyz, flood: { path: '/readyz', connections: 2_500, pipelined: 1 } },
  { case: CASES.metrics, flood: { path: '/metrics', connections: 2_500, pipelined: 1 } },
  {
    case: CASES.arrivals,
    flood: {
      path: '/livez',
      connections: 800,
      pipelined: 1,
      headers: `Connection: close\r\nCookie: ${'x'.repeat(1_000)}\r\n`,
    },
  },
  { case: CASES.pipelines, flood: { path: '/livez', connections: 800, pipelined: 100 } },
]

/** Whether somebody who may only ask can hold up what we are for. */
export function floodQuestion(): Question {
  return {
    name: 'flood',
    title: `${PER_SECOND} unpaid orders a second fall due for ${WINDOW_MS / 1_000} s while a stranger, on the same two cores, asks as fast as it can: how late are they cancelled, what does a probe of /readyz every ${PROBE_EVERY_MS} ms get, and what memory does the daemon take at most?`,
    columns: [
      { key: 'p50', title: 'lateness p50', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'p99', title: 'p99', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'missing', title: 'missing', unit: 'orders', better: 'less' },
      { key: 'probesFailed', title: 'probes failed', unit: '', better: 'less' },
      { key: 'probeP99', title: 'probe p99', unit: 'ms', better: 'less' },
      { key: 'peakMb', title: 'memory', unit: 'MB', better: 'less' },
      { key: 'answeredPerSecond', title: 'answers to the flood', unit: '/s', better: 'more' },
    ],
    rounds: 1,
    seconds: 120,
    async run(context) {
      if (!context.contenders.some(({ name }) => name === OURS)) return []
      const measured: Measured[] = []
      for (const { case: ofCase, flood } of FLOODS) {
        context.progress(ofCase)
        try {
          measured.push({
            question: 'flood',
            contender: OURS,
            case: ofCase,
            round: context.round,
            figures: await measure(context, flood),
          })
        } catch (error) {
          context.warn(`${ofCase}: ${(error as Error).message}`)
        }
      }
      return measured
    },
  }
}

async function measure({ servers, quick }: Context, flood: Flood | undefined): Promise<Record<string, number>> {
  let url = ''
  const contender = {
    ...ours,
    async start() {
      const running = await startOurs(servers)
      url = running.url
      return running
    },
  }
  const windowMs = quick ? QUICK_WINDOW_MS : WINDOW_MS
  const count = (PER_SECOND * windowMs) / 1_000
  return withOrdersDue({
    contender,
    servers,
    makeOrders: (from) =>
      makeOrders(
        Array.from({ length: count }, (_, n) => from + HEAD_START_MS + Math.floor((n * windowMs) / count)),
        () => false,
      ),
    lead: new Lead(0.25),
    async measure({ orders, running }) {
      const last = orders.at(-1)?.deadline ?? 0
      const flooding = flood && (await startFlood(url, flood))
      const startedAt = Date.now()
      const probes = startProbes(url)
      try {
        await untilFinished({ running, from: last, until: last + GIVE_UP_MS })
        const answered = flooding?.finished() ?? 0
        const took = (Date.now() - startedAt) / 1_000
        const { figures } = probes.stop()
        const { cancelledAt, harmed } = await readSettled(servers, orders)
        if (harmed.size > 0) throw new Error(`${harmed.size} orders were harmed, such as cancelled too early`)
        const late = orders.map(({ orderId, deadline }) => (cancelledAt.get(orderId) ?? last + GIVE_UP_MS) - deadline)
        late.sort((a, b) => a - b)
        return {
          p50: quantile(late, 0.5),
          p99: quantile(late, 0.99),
          missing: orders.length - cancelledAt.size,
          ...figures,
          peakMb: residentBytes(running.pids[0] as number).peak / 1e6,
          ...(flood && { answeredPerSecond: answered / took }),
        }
      } finally {
        probes.stop()
        await flooding?.stop()
      }
    },
  })
}

function startFlood(url: string, { path, connections, pipelined, headers = '' }: Flood) {
  const env = {
    FLOODED: new URL(path, url).href,
    CONNECTIONS: `${connections}`,
    PIPELINED: `${pipelined}`,
    HEADERS: headers,
  }
  return startWorker('flood', env)
}

/** Asks as a kubelet does, over a new connection each time. */
function startProbes(url: string) {
  const took: number[] = []
  let failed = 0
  const probe = async () => {
    const startedAt = performance.now()
    try {
      const { ok } = await fetch(new URL('/readyz', url), {
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(PROBE_WITHIN_MS),
      })
      if (!ok) failed++
    } catch {
      failed++
    }
    took.push(performance.now() - startedAt)
  }
  const timer = setInterval(() => void probe(), PROBE_EVERY_MS)
  return {
    stop() {
      clearInterval(timer)
      return {
        figures: {
          probesFailed: failed,
          probeP99: quantile(
            took.toSorted((a, b) => a - b),
            0.99,
          ),
        },
      }
    },
  }
}
