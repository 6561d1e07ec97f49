import type { FastifyRequest } from 'fastify'

/** What programs ask for: they get problems as JSON, even by a browser. */
const FOR_PROGRAMS = /^\/+(v1|board\/api|openapi\.json|metrics|livez|readyz)([/?]|$)/i

/** Whether a refusal is to be read by a person: a browser asks for a page, and names no JSON that it would rather have. */
export function wantsPage({ url, headers }: Pick<FastifyRequest, 'url' | 'headers'>): boolean {
  if (FOR_PROGRAMS.test(url)) return false
  const accept = headers.accept ?? ''
  const html = qualityOf(accept, /^(text\/html|application\/xhtml\+xml)$/)
  return html > 0 && html >= qualityOf(accept, /^application\/(problem\+)?json$/)
}

/** The highest weight of the media types that are named (RFC 9110, 12.5.1); 0 if none is. */
function qualityOf(accept: string, isMeant: RegExp): number {
  const weights = accept.split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    if (!isMeant.test(type)) return 0
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    return weight === undefined ? 1 : Number(weight.slice(2)) || 0
  })
  return Math.max(...weights)
}
