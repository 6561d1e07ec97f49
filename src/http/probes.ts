import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { asOrderExpiryError } from '../errors.ts'
import type { Vitals } from '../observe/vitals.ts'
import { redisErrorCode } from '../redis/reply.ts'
import type { Clock } from '../runtime/clock.ts'
import { KeptAnswer } from '../runtime/kept-answer.ts'
import { withTimeout } from '../runtime/timeout.ts'

type Asked = Pick<Vitals, 'phase' | 'loops' | 'pingRedis' | 'pingStore' | 'brakeFailure' | 'workerFailure' | 'clock'>

interface Check {
  name: string
  status: 'ok' | 'unavailable'
  reason?: string
}

/** Whoever asks meanwhile is given the same answer: many who ask cost no more than one. */
const KEPT_MS = 1_000
const PING_TIMEOUT_MS = 2_000
/** Without the headers that tell a browser what a page may do: where thousands ask, these are most of the work and memory. */
const NO_PAGE = { helmet: false } as const
/** A loop that has been silent this long is stuck: its longest step is three statements that nearly time out. */
const STUCK_MS = 45_000

/**
 * For whatever supervises the process.
 *
 * - `/livez`: 200 as long as every loop goes on; 503 if one is stuck, and only a restart helps. A missing Redis or store is
 *   no reason to restart. If the event loop itself is blocked, there is no answer at all.
 * - `/readyz`: 200 once it has started, until it stops, while Redis and the store answer, the state of the brake is known, and
 *   Redis lets the worker do its work; else 503, with the reason.
 */
export function registerProbes(server: FastifyInstance, { vitals }: { vitals: Asked }): void {
  server.get('/livez', NO_PAGE, async (_request, reply) => {
    const stuck = vitals.loops().filter(({ ageMs }) => ageMs > STUCK_MS)
    if (stuck.length === 0) return { status: 'ok' }
    const loops = stuck.map(({ name, ageMs }) => ({ name, silentForSeconds: Math.round(ageMs / 1_000) }))
    return reply.code(503).send({ status: 'stuck', loops })
  })

  const { clock } = vitals
  const keepChecks = () => new KeptAnswer({ seek: () => runChecks(vitals), forMs: KEPT_MS, clock })
  let kept = { phase: vitals.phase, answer: keepChecks() }
  server.get('/readyz', NO_PAGE, async (_request, reply) => {
    const { phase } = vitals
    if (phase !== kept.phase) kept = { phase, answer: keepChecks() }
    const checks = await kept.answer.read()
    const isReady = phase === 'running' && checks.every(({ status }) => status === 'ok')
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'unavailable', phase, checks })
  })
}

/** `/metrics`, in Prometheus' text format. */
export function registerMetrics(scope: FastifyInstance, { metrics, clock }: { metrics: Registry; clock: Clock }): void {
  // As bytes, which all answers under way share.
  const page = new KeptAnswer({ seek: async () => Buffer.from(await metrics.metrics()), forMs: KEPT_MS, clock })
  scope.get('/metrics', NO_PAGE, async (_request, reply) => reply.type(metrics.contentType).send(await page.read()))
}

function runChecks(vitals: Asked): Promise<Check[]> {
  const { clock, brakeFailure, workerFailure } = vitals
  return Promise.all([
    checkOf({ name: 'redis', ping: vitals.pingRedis(), clock }),
    checkOf({ name: 'store', ping: vitals.pingStore(), clock }),
    checkOf({ name: 'brake', ping: unless(brakeFailure), clock }),
    checkOf({ name: 'worker', ping: unless(workerFailure), clock }),
  ])
}

async function unless(failure: Error | undefined): Promise<void> {
  if (failure) throw failure
}

async function checkOf({ name, ping, clock }: { name: string; ping: Promise<unknown>; clock: Clock }): Promise<Check> {
  const late = new Error(`no answer within ${PING_TIMEOUT_MS} ms`)
  try {
    await withTimeout({ work: ping, ms: PING_TIMEOUT_MS, clock, onTimeout: () => late })
    return { name, status: 'ok' }
  } catch (error) {
    return { name, status: 'unavailable', reason: error === late ? late.message : reasonOf(error) }
  }
}

/** Only codes: anybody may ask, and the driver's words name hosts, users and databases. The log has them. */
function reasonOf(error: unknown): string {
  const { code, cause } = asOrderExpiryError(error)
  const inRedis = redisErrorCode(cause)
  return inRedis ? `${code} (${inRedis})` : code
}
