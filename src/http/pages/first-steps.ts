import { html } from 'ghtml'
import { howLong } from '../../runtime/human-numbers.ts'
import { linkTo, type Site } from './site.ts'

/** How an order is scheduled here. */
export interface FirstSteps {
  /** Where this server is, as the browser knows it, without a slash at the end. */
  address: string
  /** Whether the API wants a token; `closed`: it takes no request until API_TOKENS is set. */
  api: 'open' | 'token' | 'closed'
}

const ORDER = 'order-1'

/** What to do where nothing has happened yet, as HTML. */
export function firstSteps({ address, api }: FirstSteps, site: Site): string {
  const token = api === 'token' ? ['-H "Authorization: Bearer $TOKEN"'] : []
  const parts = [
    `curl -X PUT ${address}/v1/orders/${ORDER}`,
    ...token,
    "-H 'content-type: application/json'",
    `-d '{"timeout": "1m"}'`,
  ]
  const curl = parts.join(' \\\n  ')
  const http =
    api === 'closed'
      ? html`<p>The HTTP API is closed to other machines and proxies until API_TOKENS is set.</p>`
      : html`<p>or over HTTP${api === 'token' ? ', with a token of API_TOKENS' : ''}:</p><pre>${curl}</pre>`
  return html`<section>
<h2>Schedule a first order</h2>
!${site.isStoreInRedis ? '' : forTable(site)}
<p>In the folder of the daemon, or with its settings:</p>
<pre>npx order-expiry schedule ${ORDER} --timeout 1m</pre>
!${http}
<p>A minute later <a href="${linkTo(site, `/orders/${ORDER}`)}">its story</a> says what became of it.</p>
</section>`
}

function forTable({ sweepEveryMs }: Site): string {
  return html`<p>Your table is the record. See how it is read, then insert an unpaid row with a deadline in a few minutes:
the sweep finds it within ${howLong(sweepEveryMs)}. What follows checks a row that is there already, by its id.</p>
<pre>npx order-expiry doctor</pre>`
}
