import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, OrderExpiryError } from '../errors.ts'
import { problemPage } from './pages/problem-page.ts'
import { wantsPage } from './wants-page.ts'

/** RFC 9457. `code` is that of `errors.ts`, `requestId` finds the request in the log. */
interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  requestId: string
}

/** Our code for what Fastify or one of its plugins refuses. */
const CODE_OF_STATUS: Record<number, ErrorCode> = {
  400: 'INVALID_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'REQUEST_TIMEOUT',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
}
type ConnectionRefusal = readonly [status: number, code: ErrorCode, detail: string]
const NO_HTTP: ConnectionRefusal = [400, 'INVALID_REQUEST', 'expected an HTTP request']
/** By Node's codes. */
const CONNECTION_REFUSALS: Record<string, ConnectionRefusal> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'REQUEST_TIMEOUT', 'the request did not end in time'],
  HPE_HEADER_OVERFLOW: [431, 'INVALID_REQUEST', 'expected at most 16 KiB of address and headers'],
}
/** By Fastify's codes, whose own texts say what was given, not what was expected. */
const REFUSALS: Record<string, readonly [code: ErrorCode, text: string]> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['UNSUPPORTED_MEDIA_TYPE', 'Content-Type: expected application/json'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['BODY_TOO_LARGE', 'body: expected at most 1 MiB'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['INVALID_REQUEST', 'Content-Length: expected the length of the body'],
  FST_ERR_CTP_INVALID_JSON_BODY: [
    'INVALID_REQUEST',
    'body: expected JSON (RFC 8259) without __proto__ and constructor',
  ],
  FST_ERR_BAD_URL: ['INVALID_REQUEST', 'path: expected UTF-8, percent-encoded (a percent sign is %25)'],
}
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const RETRY_AFTER_S = 5
const POLICY = 'content-security-policy'

/**
 * Every error of the server's routes is answered as `application/problem+json`, or as a page where a browser asks for one. An
 * unexpected one shows nothing internal.
 */
export function registerProblems(server: FastifyInstance): void {
  server.setErrorHandler((error, request, reply) => sendProblem(asHttpError(error), request, reply))
  const refuseMissing = (request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split('?')[0]?.slice(0, 200) ?? ''
    // In a pattern, these stand for something else than themselves.
    const isPlain = !/[:*]/.test(path)
    const allowed = METHODS.filter((method) => isPlain && server.hasRoute({ url: path, method })).join(', ')
    if (allowed === '') return sendProblem(nothingAt(request.method, path), request, reply)
    return sendProblem(notAllowed(allowed, request, reply), request, reply)
  }
  server.setNotFoundHandler(refuseMissing)
  // Earlier than the handler, for which Fastify would read the whole body.
  server.addHook('onRequest', async (request, reply) => (request.is404 ? refuseMissing(request, reply) : undefined))
}

/** @param allowed the methods, with commas between them */
export function notAllowed(allowed: string, { method }: FastifyRequest, reply: FastifyReply): OrderExpiryError {
  reply.header('allow', allowed)
  return new OrderExpiryError('METHOD_NOT_ALLOWED', `expected ${allowed}, given ${method}`)
}

/** An id whose slash a proxy has decoded must not look as if there were no such order. */
function nothingAt(method: string, path: string): OrderExpiryError {
  const isBelowOrder = /^(\/v1)?\/orders\/.*\//.test(path)
  const hint =
    'an order id in a path must be percent-encoded ("/" as %2F), and a proxy must leave it so: see docs/proxy.md'
  if (isBelowOrder) return new OrderExpiryError('INVALID_ORDER_ID', `${method} ${path}: ${hint}`)
  return new OrderExpiryError('NOT_FOUND', `${method} ${path}: there is no such page`)
}

/** @param moreOf extra members for a client that wants them, which RFC 9457 allows */
export function sendProblem(
  error: OrderExpiryError,
  request: FastifyRequest,
  reply: FastifyReply,
  moreOf: (problem: Problem) => object = () => ({}),
): FastifyReply {
  const { code, httpStatus: status } = error
  if (status === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', String(RETRY_AFTER_S))
  request.problem = error
  // The rest of the body is read and dropped: a client that still sends would see its connection break, and no answer.
  if (status === 413) reply.removeHeader('connection')
  const problem: Problem = {
    type: typeOf(code),
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: status < 500 ? error.message : `${code}: see the log under this request id`,
    code,
    requestId: request.id,
  }
  reply.code(status).header('vary', 'accept').header('cache-control', 'no-store')
  if (wantsPage(request)) {
    const retryAfter = reply.getHeader('retry-after')?.toString()
    const content = problemPage({ site: request.server.site, error, problem, retryAfter })
    // Where no hook has run, there is no policy yet.
    if (!reply.hasHeader(POLICY)) reply.header(POLICY, "default-src 'none'; style-src 'unsafe-inline'")
    return reply.type('text/html; charset=utf-8').send(content)
  }
  return reply
    .type('application/problem+json')
    .send(JSON.stringify({ ...error.evidence, ...problem, ...moreOf(problem) }))
}

/** What is not HTTP, or is not complete in time, never becomes a request: it is answered on the connection itself. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const [status, code, detail] = CONNECTION_REFUSALS[error.code ?? ''] ?? NO_HTTP
  const title = STATUS_CODES[status] as string
  const body = JSON.stringify({ type: typeOf(code), title, status, detail, code })
  const head = `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\nContent-Length: ${Buffer.byteLength(body)}`
  if (socket.writable) socket.write(`${head}\r\nConnection: close\r\n\r\n${body}`)
  socket.destroySoon()
}

function typeOf(code: ErrorCode): string {
  return `urn:order-expiry:error:${code}`
}

/** What the routes throw, and what Fastify and its plugins refuse. Anything else is a bug. */
export function asHttpError(error: unknown): OrderExpiryError {
  if (error instanceof OrderExpiryError) return error
  const { statusCode, message, code: fault } = error as { statusCode?: unknown; message?: unknown; code?: unknown }
  const isRefusal = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
  const code = isRefusal ? (CODE_OF_STATUS[statusCode] ?? 'INVALID_REQUEST') : undefined
  const [ownCode = code, ownText] = REFUSALS[String(fault)] ?? []
  const text = ownText ?? (typeof message === 'string' ? message : String(error))
  return new OrderExpiryError(ownCode ?? 'UNEXPECTED', text, { cause: error })
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What it was answered with, for the log. */
    problem?: OrderExpiryError
  }
}
