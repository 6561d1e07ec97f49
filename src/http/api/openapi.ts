import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Admit } from '../doors.ts'
import type { Front } from '../front.ts'

/**
 * Routes registered from now on are validated by their schemas, and described at `/openapi.json` and `/docs`, for whoever
 * `admit` lets in.
 */
export async function registerOpenApi(
  server: FastifyInstance,
  options: { version: string; front: Front; admit: Admit },
): Promise<void> {
  server.setValidatorCompiler(validatorCompiler)
  server.setSerializerCompiler(serializerCompiler)
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'order-expiry',
        version: options.version,
        description: 'Cancels orders left unpaid past their payment deadline, and never a paid one.',
      },
      servers: [{ url: options.front.publicUrl || '/' }],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
      tags: [
        { name: 'orders', description: 'Deadlines of orders' },
        { name: 'forecast', description: 'Upcoming checks' },
      ],
    },
    transform: jsonSchemaTransform,
    hideUntagged: true,
  })
  await server.register(async (scope) => {
    options.admit(scope)
    scope.get('/openapi.json', async () => server.swagger())
    await scope.register(swaggerUi, { routePrefix: '/docs', indexPrefix: options.front.base })
  })
}
