import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler } from 'fastify-type-provider-zod'
import type { Scope } from '../../settings/credentials.ts'
import type { Admit } from '../doors.ts'
import type { Front } from '../front.ts'
import { type ApiCode, problemAnswers } from './problems.ts'
import { validatorCompiler } from './requests.ts'
import { batch, batchOrder, deadlines } from './schemas.ts'

const DESCRIPTION = `Cancels orders left unpaid past their payment deadline, and never a paid one.

Errors are \`application/problem+json\` (RFC 9457): tell them apart by \`code\`. Every path also takes HEAD where it takes GET, and
OPTIONS; any other method is answered with 405 \`METHOD_NOT_ALLOWED\`, any other path with 404 \`NOT_FOUND\`.`

/**
 * Routes registered from now on are validated by their schemas, and described at `/openapi.json` and `/docs`, for whoever
 * `admit` lets in.
 *
 * @param options.hasTokens whether callers need one
 */
export async function registerOpenApi(
  server: FastifyInstance,
  options: { version: string; front: Front; environment?: string | undefined; admit: Admit; hasTokens: boolean },
): Promise<void> {
  const { version, front, environment, admit, hasTokens } = options
  server.setValidatorCompiler(validatorCompiler)
  server.setSerializerCompiler(serializerCompiler)
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: environment ? `order-expiry (${environment})` : 'order-expiry',
        version,
        description: DESCRIPTION,
        license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
      },
      servers: [{ url: front.publicUrl || '/' }],
      ...(hasTokens && {
        components: {
          securitySchemes: {
            token: { type: 'http', scheme: 'bearer', description: 'A token of API_TOKENS that has the scope.' },
          },
        },
      }),
      security: [],
      tags: [
        { name: 'orders', description: 'Deadlines of orders' },
        { name: 'forecast', description: 'Upcoming checks' },
      ],
    },
    transform: (document) => {
      const { schema, url } = jsonSchemaTransform(document)
      return { schema: describe(schema as DescribedSchema, { hasTokens }), url }
    },
    transformObject: (document) => nameOnce(jsonSchemaTransformObject(document) as Document),
    hideUntagged: true,
  })
  await server.register(async (scope) => {
    admit(scope)
    // As bytes, which all answers under way share: anybody may ask where this is open.
    let bytes: Buffer | undefined
    const send = async (_request: FastifyRequest, reply: FastifyReply) => {
      bytes ??= Buffer.from(JSON.stringify(server.swagger()))
      return reply.type('application/json; charset=utf-8').send(bytes)
    }
    scope.get('/openapi.json', send)
    // Swagger UI has a route of its own for the same.
    scope.addHook('preHandler', async (request, reply) => {
      if (request.routeOptions.url === '/docs/json') return send(request, reply)
    })
    await scope.register(swaggerUi, { routePrefix: '/docs', indexPrefix: front.base })
  })
}

type DescribedSchema = FastifySchema & { response?: Record<string, object> }

/** What the library leaves out: the words and headers of the answers, the errors, who may ask. */
function describe(schema: DescribedSchema | undefined, { hasTokens }: { hasTokens: boolean }): FastifySchema {
  const { answers, problems, scope, response = {}, ...rest } = schema ?? {}
  if (!answers || !problems || !scope) return schema ?? {}
  const results = Object.entries(response).map(([status, content]) => [
    status,
    { description: answers[status], content: { 'application/json': { schema: content } } },
  ])
  return {
    ...rest,
    // OpenAPI 3.1 lets a scheme that is no OAuth name the roles that it needs.
    ...(hasTokens && { security: [{ token: [scope] }] }),
    response: { ...Object.fromEntries(results), ...problemAnswers(problems) },
  }
}

/** What is rewritten of a description. */
interface Document {
  components?: { schemas?: Record<string, object> }
}
interface Body {
  content: { 'application/json': { schema: { anyOf?: object[] } } }
}

const TAKEN = [deadlines, batchOrder, batch].map((schema) => schema.meta()?.id)

/**
 * The library describes each schema as it is taken (`XInput`) and as it is answered (`X`). Ours are one or the other, and have
 * one name. What we answer may have further fields one day.
 */
function nameOnce(document: Document): Document {
  const { components } = document
  const all: Record<string, object> = components?.schemas ?? {}
  const schemas = Object.keys(all)
    .filter((name) => !name.endsWith('Input'))
    .map((name) => {
      if (TAKEN.includes(name)) return [name, all[`${name}Input`]]
      return [name, { ...all[name], additionalProperties: undefined }]
    })
  const text = JSON.stringify({ ...document, components: { ...components, schemas: Object.fromEntries(schemas) } })
  return JSON.parse(text, (key, value) => {
    if (key === '$ref') return String(value).replace(/Input$/, '')
    return key === 'requestBody' ? bodyOf(value) : value
  })
}

/** A body that may be null may be left out. */
function bodyOf(body: Body): object {
  const [schema] = body.content['application/json'].schema.anyOf ?? []
  return schema ? { ...body, required: false, content: { 'application/json': { schema } } } : body
}

declare module 'fastify' {
  interface FastifySchema {
    /** What each status means that is no error. */
    answers?: Readonly<Record<string, string>>
    /** The errors that only some operations have. */
    problems?: readonly ApiCode[]
    /** What a token needs. */
    scope?: Scope
  }
}
