import { STATUS_CODES } from 'node:http'
import { html } from 'ghtml'
import type { OrderExpiryError } from '../../errors.ts'
import { page } from './page.ts'
import { linkTo, type Site } from './site.ts'
import { troubleBehind, troubleBox } from './troubles.ts'

/** What a person reads, by status; the error's own words follow. */
const HEADINGS: Record<number, string> = {
  400: 'This address cannot be understood',
  401: 'Please sign in',
  403: 'Not allowed',
  404: 'There is no such page',
  405: 'Not possible here',
  429: 'Too many requests',
  500: 'Something went wrong here',
  503: 'Not possible now',
}

/** A refusal, for people: what happened, what it means for the orders, and where to go from here. */
export function problemPage(options: {
  site: Site
  error: OrderExpiryError
  /** What the caller may know of it. */
  problem: { status: number; detail: string; code: string; requestId: string }
  /** Seconds after which to ask again. */
  retryAfter?: string | undefined
}): string {
  const { site, error, problem, retryAfter } = options
  const { status, detail, code, requestId } = problem
  const heading = HEADINGS[status] ?? STATUS_CODES[status] ?? 'Error'
  const trouble = troubleBehind(error, site)
  const again = retryAfter && /^\d+$/.test(retryAfter) ? html`<p>Try again in ${retryAfter} s.</p>` : ''
  const body = html`!${trouble ? troubleBox({ site, trouble, level: 1 }) : html`<h1>${heading}</h1><p>${detail}</p>`}
!${again}
<dl>
<dt>Status</dt><dd>${status} ${STATUS_CODES[status] ?? ''}</dd>
<dt>Code</dt><dd>${code}</dd>
<dt>In the log</dt><dd>request id ${requestId}</dd>
</dl>
<p><a href="${linkTo(site, '/')}">The overview</a> shows how everything stands.</p>`
  return page({ site, title: trouble ? `⚠ ${trouble.title}` : `${status} ${heading}`, isForAnybody: true, body })
}
