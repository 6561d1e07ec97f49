import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

/** `/metrics` in Prometheus' text format. */
export function registerMetrics(server: FastifyInstance, registry: Registry): void {
  server.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
}
