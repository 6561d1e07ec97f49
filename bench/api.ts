import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type Dispatcher, Pool } from 'undici'
import { DaemonProcess } from '../test/helpers/daemon.ts'
import { oursEnv } from './contenders/ours.ts'
import { killOnExit } from './kill-on-exit.ts'
import { quantile } from './quantiles.ts'
import type { Context, Measured, Question } from './question.ts'
import { OURS } from './question-tables.ts'
import { residentBytes } from './resident.ts'
import { sleep } from './run.ts'

const WHOLE = { warmUp: 3_000, puts: 40_000, batches: 100, restMs: 45_000 }
const QUICK = { warmUp: 100, puts: 1_000, batches: 3, restMs: 500 }
const PUT_CONNECTIONS = 50
const BATCH_CONNECTIONS = 4
const BATCH = 1_000
const DUE_IN_MS = 3_600_000
const TOKEN = 'token-of-the-bench'
/** A folder without a .env. */
const HERE = fileURLToPath(new URL('.', import.meta.url))

type Request = Pick<Dispatcher.RequestOptions, 'path' | 'body'> & { method: 'PUT' | 'POST' }

/** How many orders the API takes, and what its process costs. */
export function apiQuestion(): Question {
  return {
    name: 'api',
    title:
      `Our API, with its client on the same two cores: ${WHOLE.puts.toLocaleString('en')} orders, one PUT each, over ${PUT_CONNECTIONS} connections; ` +
      `${(WHOLE.batches * BATCH).toLocaleString('en')} in batches of ${BATCH.toLocaleString('en')}. For the process with API, board and metrics on: ` +
      `the time from start to ready, and resident memory ${WHOLE.restMs / 1_000} s later.`,
    columns: [
      { key: 'putsPerSecond', title: 'PUT', unit: '/s', better: 'more' },
      { key: 'putP99', title: 'PUT p99', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'batchedPerSecond', title: 'orders in batches', unit: '/s', better: 'more' },
      { key: 'readyMs', title: 'ready', unit: 'ms', better: 'less' },
      { key: 'residentMb', title: 'memory', unit: 'MB', better: 'less' },
    ],
    rounds: 1,
    seconds: 70,
    async run(context) {
      if (!context.contenders.some(({ name }) => name === OURS)) return []
      try {
        return [await measure(context)]
      } catch (error) {
        context.warn(`ours: ${(error as Error).message}`)
        return []
      }
    },
  }
}

async function measure({ servers, quick, round, progress }: Context): Promise<Measured> {
  const { warmUp, puts, batches, restMs } = quick ? QUICK : WHOLE
  await servers.reset()
  progress('ours: start and rest')
  const env = { ...oursEnv(servers), ORDER_STORE: 'redis', API_TOKENS: `bench:${TOKEN}`, API_RATE_LIMIT: 'off' }
  const startedAt = performance.now()
  const daemon = new DaemonProcess(env, { cwd: HERE })
  const pid = daemon.child.pid as number
  const letLive = killOnExit(pid)
  try {
    await daemon.until(({ msg }) => msg === 'ready')
    const readyMs = performance.now() - startedAt
    await sleep(restMs)
    const residentMb = residentBytes(pid).now / 1e6
    const url = await daemon.url()
    progress('ours: PUT')
    await askAll({ url, connections: PUT_CONNECTIONS, requests: warmUp, request: put })
    const single = await askAll({ url, connections: PUT_CONNECTIONS, requests: puts, request: put })
    progress('ours: batches')
    const batched = await askAll({ url, connections: BATCH_CONNECTIONS, requests: batches, request: batch })
    const figures = {
      putsPerSecond: single.perSecond,
      putP99: single.p99,
      batchedPerSecond: batched.perSecond * BATCH,
      readyMs,
      residentMb,
    }
    return { question: 'api', contender: OURS, case: '', round, figures }
  } finally {
    await daemon.stop('SIGKILL')
    letLive()
  }
}

/** As many callers as connections, each of which waits for its answer before it asks again. */
async function askAll(options: {
  url: string
  connections: number
  requests: number
  request: () => Request
}): Promise<{ perSecond: number; p99: number }> {
  const { url, connections, requests, request } = options
  const pool = new Pool(url, { connections })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` }
  const took: number[] = []
  let next = 0
  const caller = async () => {
    while (next++ < requests) {
      const askedAt = performance.now()
      const { statusCode, body } = await pool.request({ ...request(), headers })
      const text = await body.text()
      if (statusCode >= 300) throw new Error(`expected the order to be taken, got ${statusCode}: ${text.slice(0, 200)}`)
      took.push(performance.now() - askedAt)
    }
  }
  try {
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: connections }, caller))
    const seconds = (performance.now() - startedAt) / 1_000
    took.sort((a, b) => a - b)
    return { perSecond: requests / seconds, p99: quantile(took, 0.99) }
  } finally {
    await pool.close()
  }
}

function put(): Request {
  const body = JSON.stringify({ deadline: Date.now() + DUE_IN_MS })
  return { method: 'PUT', path: `/v1/orders/${randomUUID()}`, body }
}

function batch(): Request {
  const deadline = Date.now() + DUE_IN_MS
  const orders = Array.from({ length: BATCH }, () => ({ orderId: randomUUID(), deadline }))
  return { method: 'POST', path: '/v1/orders/batch', body: JSON.stringify({ orders }) }
}
