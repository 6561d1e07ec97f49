import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import helmet from '@fastify/helmet'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { OrderExpiryError } from '../errors.ts'
import type { EventBus, Events } from '../observe/events.ts'
import { visibleText } from '../runtime/visible.ts'
import { callerOf } from './auth.ts'
import { createPathReader, type Front } from './front.ts'
import { isWithinBounds } from './json-bounds.ts'
import type { Site } from './pages/site.ts'
import { asHttpError, refuseConnection, registerProblems, sendProblem } from './problem.ts'
import { readInTurns } from './read-in-turns.ts'
import { refuseOtherSites } from './same-site.ts'

const BODY_LIMIT = 1_048_576
/** From the first byte of a request to its last. */
const REQUEST_TIMEOUT_MS = 10_000
/** How often Node looks for requests that take longer. Its default would add half a minute. */
const LOOK_AT_REQUESTS_EVERY_MS = 1_000
/** Longer than load balancers keep connections that they do not use: they must not send a request into one that we close. */
const KEEP_ALIVE_MS = 72_000
/** Neither a byte sent nor one taken. */
const SILENCE_MS = 80_000
const MOST_CONNECTIONS = 4_096
/** As long as an address can be: each route says for itself what it expects. */
const LONGEST_PARAM = 16_384

/**
 * The HTTP server as a service. It listens before anything else is started and until all is stopped, so that probes are
 * answered throughout.
 */
export function createHttpService(options: {
  host: string
  port: number
  front: Front
  /** Adds the routes. */
  register: (server: FastifyInstance) => Promise<void>
  /** Its pages, also for refusals. */
  site: Site
  events: EventBus
}) {
  const { host, port, front, register, site, events } = options
  const pathOf = createPathReader(front)
  let server: FastifyInstance | undefined
  const underWay = { requests: 0 }
  return {
    name: 'http',
    /** Whether every request has been answered, or its caller has left. */
    drained: () => underWay.requests === 0,
    async start() {
      server = fastify({
        logger: false,
        bodyLimit: BODY_LIMIT,
        serverFactory: createFairServer,
        clientErrorHandler: refuseConnection,
        // Called for an address that cannot be decoded, for which no hook runs.
        frameworkErrors(error, request, reply) {
          reply.headers(headersOf(request))
          reply.raw.once('close', () => events.emit('request-finished', describeRequest(request, reply)))
          void sendProblem(asHttpError(error), request, reply)
        },
        forceCloseConnections: true,
        genReqId: ({ headers }) => requestIdOf(headers['x-request-id']),
        trustProxy: (address: string) => front.isTrusted(address),
        rewriteUrl: ({ url = '/' }) => pathOf(url),
        routerOptions: { maxParamLength: LONGEST_PARAM, ignoreTrailingSlash: true },
      })
      server.decorate('site', site)
      try {
        await prepare({ server, front, events, underWay })
        await register(server)
        const url = await server.listen({ host, port, backlog: MOST_CONNECTIONS })
        events.emit('service-started', { service: 'http', detail: url })
      } catch (cause) {
        await server.close()
        const why = cause instanceof Error ? cause.message : String(cause)
        const message = `HTTP_HOST ${host}, HTTP_PORT ${port}: expected a free address and port; set others (${why})`
        throw new OrderExpiryError('HTTP_LISTEN_FAILED', message, { cause })
      }
    },
    async stop() {
      await server?.close()
    },
  }
}

/** One that a flood of requests or connections leaves time and memory for everything else. */
function createFairServer(listener: RequestListener): Server {
  const server = createServer({
    // Node takes the longer of the two for the whole request, and its default for the headers is a minute.
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: LOOK_AT_REQUESTS_EVERY_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  })
  server.timeout = SILENCE_MS
  server.maxConnections = MOST_CONNECTIONS
  readInTurns(server, listener)
  return server
}

/** What holds for every route. */
async function prepare(options: {
  server: FastifyInstance
  front: Front
  events: EventBus
  underWay: { requests: number }
}): Promise<void> {
  const { server, front, events, underWay } = options
  const parseJson = server.getDefaultJsonParser('error', 'error')
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Many clients send this header with every request, even without a body.
    if (body.length === 0) return done(null, undefined)
    const refuse = (text: string) => done(new OrderExpiryError('INVALID_REQUEST', text))
    if (!isUtf8(body as Buffer)) return refuse('expected JSON in UTF-8 (RFC 8259), given bytes that are not')
    if (!isWithinBounds(body as Buffer)) return refuse('body: expected at most 32 levels and 20,000 values of JSON')
    void parseJson(request, body.toString(), done)
  })
  server.removeContentTypeParser('text/plain') // JSON only: a form on another site cannot send it
  server.addHook('onRequest', async (request, reply) => {
    // Static files, which are the same for everybody, replace the second.
    reply.headers(headersOf(request))
    underWay.requests++
    reply.raw.once('close', () => underWay.requests--)
  })
  // For whoever has it printed by a terminal. The meaning of JSON stays the same.
  server.addHook('onSend', (_request, reply, payload, done) => {
    const isJson = typeof payload === 'string' && /[/+]json/.test(String(reply.getHeader('content-type')))
    done(null, isJson ? visibleText(payload) : payload)
  })
  // Before the body is read.
  server.addHook('preParsing', async ({ headers }) => {
    const { 'content-encoding': encoding = 'identity', 'content-type': type = '' } = headers
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0
    const charset = /;\s*charset="?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8'
    if (!hasBody || (encoding === 'identity' && /^(utf-?8|us-ascii)$/i.test(charset))) return
    throw new OrderExpiryError('UNSUPPORTED_MEDIA_TYPE', 'expected JSON in UTF-8 (RFC 8259), not compressed')
  })
  server.addHook('onResponse', async (request, reply) => {
    events.emit('request-finished', describeRequest(request, reply))
  })
  await server.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'self'"], // the board's page has a base
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'", 'data:'],
        styleSrc: ["'self'", "'unsafe-inline'"],
        scriptSrc: ["'self'"],
        connectSrc: ["'self'"],
      },
    },
    // That is for whatever ends TLS to say.
    strictTransportSecurity: false,
  })
  refuseOtherSites(server, front)
  registerProblems(server)
}

function headersOf({ id }: FastifyRequest) {
  return { 'x-request-id': id, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' }
}

function describeRequest(request: FastifyRequest, reply: FastifyReply): Events['request-finished'] {
  return {
    requestId: request.id,
    method: request.method,
    route: request.routeOptions?.url ?? 'none',
    status: reply.statusCode,
    tookMs: reply.elapsedTime,
    by: callerOf(request),
    ...(request.problem && { error: request.problem }),
  }
}

/** The caller's own id, if it can go into a log and a header as it is. */
function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[\w.:-]{1,64}$/.test(given) ? given : randomUUID()
}
