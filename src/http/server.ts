import { type FastifyInstance, fastify } from 'fastify'
import { OrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import type { Service } from '../runtime/service.ts'

/**
 * The HTTP server as a service. It listens before anything else is started and until all is stopped, so that probes are
 * answered throughout.
 */
export function createHttpService(options: {
  host: string
  port: number
  /** Adds the routes. */
  register: (server: FastifyInstance) => Promise<void>
  events: EventBus
}): Service {
  const { host, port, register, events } = options
  let server: FastifyInstance | undefined
  return {
    name: 'http',
    async start() {
      server = fastify({ logger: false, bodyLimit: 1_048_576, requestTimeout: 10_000, forceCloseConnections: true })
      try {
        await register(server)
        const url = await server.listen({ host, port })
        events.emit('service-started', { service: 'http', detail: url })
      } catch (cause) {
        await server.close()
        const why = cause instanceof Error ? cause.message : String(cause)
        throw new OrderExpiryError(
          'HTTP_LISTEN_FAILED',
          `HTTP_HOST ${host}, HTTP_PORT ${port}: expected an address and a port that are free; set them otherwise (${why})`,
          { cause },
        )
      }
    },
    async stop() {
      await server?.close()
    },
  }
}
