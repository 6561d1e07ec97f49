import type { FastifyRequest } from 'fastify'
import type { Vitals } from '../../observe/vitals.ts'

const HOST = /^[\w.-]+(:\d+)?$|^\[[\da-f:.]+\](:\d+)?$/i

/** What all pages of this server share. */
export interface Site {
  /** The path below which everything is, as a browser sees it: empty, or such as `/order-expiry`. */
  base: string
  /** PUBLIC_URL without a slash at its end, or nothing. */
  publicUrl: string
  /** A badge on every page, such as `staging`. */
  environment: string | undefined
  version: string
  /** Whether Redis is also the order store. */
  isStoreInRedis: boolean
  /** Whether the brake grants cancellations, in Redis: nothing while that is away. */
  isBrakeLimited: boolean
  sweepEveryMs: number
  /** Whether sweeps find orders: not where the deadline is only on the job. */
  isSwept: boolean
  vitals: Pick<Vitals, 'phase' | 'outages' | 'brake' | 'brakeFailure' | 'dryRun' | 'clock'>
}

/** An address on this server, for a link. @param path begins with a slash, as the routes do */
export function linkTo({ base }: Pick<Site, 'base'>, path: string): string {
  return `${base}${path}`
}

/** Where this server is, as whoever asks knows it, without a slash at the end. */
export function addressOf(request: Pick<FastifyRequest, 'protocol' | 'host'>, { publicUrl, base }: Site): string {
  const { protocol, host } = request
  // It is shown as a part of a command, and whoever asks may have written anything.
  return publicUrl || `${protocol}://${HOST.test(host) ? host : '127.0.0.1:3000'}${base}`
}

/** What to do about it: a section of the runbook, which this server shows. @param alert by its name in `deploy/` */
export function runbookOf(site: Pick<Site, 'base'>, alert: string): string {
  return linkTo(site, `/guide/runbook#${alert.toLowerCase()}`)
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Of the server whose pages they are. */
    site: Site
  }
}
