import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']

/**
 * Refuses whatever would change something and is sent by a browser on behalf of another site.
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 */
export function refuseOtherSites(server: FastifyInstance): void {
  server.addHook('onRequest', async (request) => {
    if (SAFE_METHODS.includes(request.method) || !comesFromAnotherSite(request)) return
    throw new OrderExpiryError(
      'FORBIDDEN',
      'expected a request of no browser, or of a page of this server; this one is of another site',
    )
  })
}

/**
 * Refuses what is addressed to another name than one of this machine. For routes that want no credentials: a page of another
 * site could have its own name point here (DNS rebinding).
 */
export function refuseOtherNames(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request) => {
    if (isLoopbackName(request.hostname)) return
    throw new OrderExpiryError(
      'FORBIDDEN',
      'expected 127.0.0.1, [::1] or localhost as the host, because no credentials are set for this',
    )
  })
}

function comesFromAnotherSite(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  // Browsers that do not say it send an Origin with all that changes something. A proxy may have ended TLS before us.
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== request.host)
}

function isLoopbackName(given: string): boolean {
  const name = given.toLowerCase()
  return name === 'localhost' || name === '[::1]' || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name)
}
