import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']
const OWN_NAME = /^(localhost|\[::1\]|::1|127\.\d+\.\d+\.\d+)$/i

/**
 * Refuses a request that would change something if a browser sends it for another site.
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 */
export function refuseOtherSites(server: FastifyInstance): void {
  server.addHook('onRequest', async (request) => {
    if (SAFE_METHODS.includes(request.method) || !comesFromAnotherSite(request)) return
    throw new OrderExpiryError(
      'FORBIDDEN',
      'expected a request from a page of this server or from outside a browser; another site sent this one',
    )
  })
}

/**
 * Refuses a request to any name but this machine's own. For routes that require no credentials: another site's page
 * could have its own name point here (DNS rebinding).
 */
export function refuseOtherNames(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request) => {
    if (OWN_NAME.test(request.hostname)) return
    throw new OrderExpiryError(
      'FORBIDDEN',
      'expected 127.0.0.1, [::1] or localhost as the host, because no credentials are set for this',
    )
  })
}

function comesFromAnotherSite(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  // Older browsers send an Origin with every request that changes something. A proxy may have ended TLS before us.
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== request.host)
}
