import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']
/** No site on the internet can have a name like these. */
const PRIVATE_NAME = /^[^.:]+$|\.(local|localhost|internal|svc)$/i
const OWN_NAME = /^(localhost|\[::1\]|::1|127\.\d+\.\d+\.\d+)$/i

/**
 * Refuses a request that would change something if a browser sends it for another site.
 *
 * @param options.origin under which users know this server; undefined: the host of each request
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 */
export function refuseOtherSites(server: FastifyInstance, { origin }: { origin: string | undefined }): void {
  server.addHook('onRequest', async (request) => {
    if (SAFE_METHODS.includes(request.method) || !comesFromAnotherSite(request, origin)) return
    const message =
      'expected a request from a page of this server or from outside a browser; another site sent this one'
    throw new OrderExpiryError('FORBIDDEN', message)
  })
}

/**
 * Refuses a request to any name but this machine's own. For routes that require no credentials: another site's page
 * could have its own name point here (DNS rebinding).
 */
export function refuseOtherNames(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request) => {
    // Not Fastify's hostname: whoever can send Host can send X-Forwarded-Host too.
    if (OWN_NAME.test(nameOfHost(request.headers.host))) return
    const message = 'expected 127.0.0.1, [::1] or localhost as the host, because no credentials are set for this'
    throw new OrderExpiryError('FORBIDDEN', message)
  })
}

/** Whether a host is this machine, or a name that only a network of one's own knows. */
export function isOwnOrPrivateName(host: string): boolean {
  return OWN_NAME.test(host) || PRIVATE_NAME.test(host)
}

/** The name in a Host header, in lower case and without its port. */
export function nameOfHost(header = ''): string {
  return header.replace(/:\d*$/, '').toLowerCase()
}

function comesFromAnotherSite(request: FastifyRequest, ownOrigin: string | undefined): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  // Older browsers send an Origin with every request that changes something.
  if (origin === undefined || origin === ownOrigin) return false
  // A proxy may have ended TLS before us.
  return !URL.canParse(origin) || new URL(origin).host !== request.host
}
