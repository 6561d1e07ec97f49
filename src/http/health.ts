import type { FastifyInstance } from 'fastify'
import { asOrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Heartbeat } from '../runtime/heartbeat.ts'
import { withTimeout } from '../runtime/timeout.ts'

/** Something the daemon cannot work without. `ping` rejects when it is away. */
export interface Dependency {
  name: string
  ping: () => Promise<unknown>
}

const PING_TIMEOUT_MS = 2_000
/** A loop that has not gone on for so long is stuck: its longest step is three statements that all but time out. */
const STUCK_MS = 45_000

/**
 * The probes.
 *
 * - `/livez`: 200 as long as every loop goes on; 503 if one is stuck, and only a restart helps. A missing Redis or store is
 *   no reason to restart. Where the event loop itself is blocked, there is no answer at all.
 * - `/readyz`: 200 when it is started, not stopping, and Redis and the store answer; else 503, with the reason.
 */
export function registerHealth(
  server: FastifyInstance,
  options: {
    phase: () => 'starting' | 'running' | 'stopping'
    dependencies: readonly Dependency[]
    heartbeats: readonly Heartbeat[]
    clock: Clock
  },
): void {
  const { phase, dependencies, heartbeats, clock } = options

  server.get('/livez', async (_request, reply) => {
    // Loops begin with the start and end with the stop, each of which may take its time.
    const stuck = phase() === 'running' ? heartbeats.filter(({ ageMs }) => ageMs > STUCK_MS) : []
    if (stuck.length === 0) return { status: 'ok' }
    const loops = stuck.map(({ name, ageMs }) => ({ name, silentForSeconds: Math.round(ageMs / 1_000) }))
    return reply.code(503).send({ status: 'stuck', loops })
  })

  server.get('/readyz', async (_request, reply) => {
    const checks = await Promise.all(dependencies.map((dependency) => probe(dependency, clock)))
    const ready = phase() === 'running' && checks.every(({ status }) => status === 'ok')
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ok' : 'unavailable', phase: phase(), checks })
  })
}

async function probe(dependency: Dependency, clock: Clock): Promise<{ name: string; status: string; reason?: string }> {
  const { name, ping } = dependency
  let reason: string | undefined
  try {
    const onTimeout = () => {
      reason = `no answer within ${PING_TIMEOUT_MS} ms`
      return new Error(reason)
    }
    await withTimeout({ work: ping(), ms: PING_TIMEOUT_MS, clock, onTimeout })
    return { name, status: 'ok' }
  } catch (error) {
    // Only the code: anybody may ask, and the driver's words name hosts, users and databases. The log has them.
    return { name, status: 'unavailable', reason: reason ?? asOrderExpiryError(error).code }
  }
}
