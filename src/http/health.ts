import type { FastifyInstance } from 'fastify'
import { asOrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'

/** Something the daemon cannot work without. `ping` rejects when it is away. */
export interface Dependency {
  name: string
  ping: () => Promise<void>
}

const PING_TIMEOUT_MS = 2_000

/**
 * The probes.
 *
 * - `/livez`: 200 as long as the process can answer at all; a missing Redis or store is no reason to restart it.
 * - `/readyz`: 200 when it is started, not stopping, and Redis and the store answer; else 503, with the reason.
 */
export function registerHealth(
  server: FastifyInstance,
  options: { phase: () => 'starting' | 'running' | 'stopping'; dependencies: readonly Dependency[]; clock: Clock },
): void {
  const { phase, dependencies, clock } = options

  server.get('/livez', async () => ({ status: 'ok' }))

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
