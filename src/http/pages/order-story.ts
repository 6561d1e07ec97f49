import { html } from 'ghtml'
import type { Story } from '../../explain/story.ts'
import { page } from './page.ts'

/** Asks for the id of an order. */
export function searchPage(): string {
  return pageWithSearch({
    title: 'Find an order',
    link: { text: 'Board', href: '/board' },
    content: html`<p>Why was it cancelled, or why not?</p>`,
  })
}

/** @param options.boardHref the order's check on the board */
export function storyPage(options: { story: Story; boardHref: string }): string {
  const { orderId, verdict, lines } = options.story
  const rows = lines.map(
    ({ at, what }) => html`<tr><td>${at === undefined ? '–' : new Date(at).toISOString()}</td><td>${what}</td></tr>
`,
  )
  return pageWithSearch({
    title: `Order ${orderId}`,
    link: { text: 'Check on the board', href: options.boardHref },
    content: html`<p>${verdict}</p>
<table>!${rows}</table>`,
  })
}

function pageWithSearch(options: { title: string; link: { text: string; href: string }; content: string }): string {
  const { title, link, content } = options
  const body = html`<header>
<h1>${title}</h1>
<a href="/">Overview</a>
<a href="${link.href}">${link.text}</a>
<form action="/orders">
<input name="id" placeholder="Order id" aria-label="Order id" required maxlength="200">
<button>Explain</button>
</form>
</header>
!${content}`
  return page({ title, body })
}
