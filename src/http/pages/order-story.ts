import { html } from 'ghtml'
import type { Story } from '../../explain/story.ts'
import { page } from './page.ts'
import { linkTo, type Site } from './site.ts'

/** Asks for the id of an order. */
export function searchPage(site: Site): string {
  return pageWithSearch({
    site,
    title: 'Find an order',
    path: '/orders',
    content: html`<p>Why was it cancelled, or why not?</p>`,
  })
}

/** @param options.boardPath of the order's check on the board */
export function storyPage(options: { site: Site; story: Story; boardPath: string }): string {
  const { site, story, boardPath } = options
  const { orderId, verdict, lines } = story
  const rows = lines.map(
    ({ at, what }) => html`<tr><td>${at === undefined ? '–' : new Date(at).toISOString()}</td><td>${what}</td></tr>
`,
  )
  return pageWithSearch({
    site,
    title: `Order ${orderId}`,
    content: html`<p>${verdict}</p>
<p><a href="${linkTo(site, boardPath)}">Check on the board</a></p>
<table>!${rows}</table>`,
  })
}

function pageWithSearch(options: { site: Site; title: string; path?: string; content: string }): string {
  const { site, title, path, content } = options
  const body = html`<h1>${title}</h1>
<form action="${linkTo(site, '/orders')}">
<input name="id" placeholder="Order id" aria-label="Order id" required maxlength="200">
<button>Explain</button>
</form>
!${content}`
  return page({ site, title, ...(path && { path }), body })
}
