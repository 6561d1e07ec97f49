import { context, propagation } from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'

/**
 * Afterwards what the handlers of this scope do belongs to the trace that the request names in `traceparent` (W3C Trace
 * Context). Nothing happens while no traces are sent.
 */
export function joinTraces(scope: FastifyInstance): void {
  // The last hook before the handler, which runs within it: what is active earlier is lost where a body is read.
  scope.addHook('preHandler', (request, _reply, done) => {
    context.with(propagation.extract(context.active(), request.headers), done)
  })
}
