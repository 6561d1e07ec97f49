import type { FastifyReply } from 'fastify'
import { html } from 'ghtml'
import { visibleText } from '../../runtime/visible.ts'
import { linkTo, type Site } from './site.ts'
import { STYLE } from './style.ts'

/** The pages that every page links to. */
const NAVIGATION = {
  Overview: '/',
  'Find an order': '/orders',
  Board: '/board',
  API: '/docs',
  Runbook: '/guide/runbook',
}

/**
 * A whole page around `body`, which is HTML and has the heading. It loads nothing from another site, and needs no build.
 *
 * @param options.title of the tab; ` – order-expiry` follows
 * @param options.path of this page, if every page links to it
 * @param options.style beside the one of all pages
 * @param options.script the path of one on this server, without which the page is whole
 * @param options.isForAnybody whether those who have not signed in see it too: it does not tell the version
 */
export function page(options: {
  site: Site
  title: string
  path?: string
  style?: string
  script?: string
  isForAnybody?: boolean
  body: string
}): string {
  const { site, title, path, style = '', script, isForAnybody = false, body } = options
  const links = Object.entries(NAVIGATION).map(
    ([text, to]) => html`<a href="${linkTo(site, to)}"!${to === path ? ' aria-current="page"' : ''}>${text}</a>
`,
  )
  // Whoever wrote it, no text turns the direction of what we say about it.
  return visibleText(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title} – order-expiry</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<style>!${STYLE}!${style}</style>
!${script ? html`<script src="${linkTo(site, script)}" defer></script>` : ''}
</head>
<body>
<header class="top">
<a class="brand" href="${linkTo(site, '/')}">order-expiry</a>
!${site.environment ? html`<span class="badge">${site.environment}</span>` : ''}
<nav aria-label="Pages">!${links}</nav>
</header>
<main>
!${body}
</main>
<footer>order-expiry !${isForAnybody ? '' : html`${site.version}`}</footer>
</body>
</html>
`)
}

/** Answers with a page that shows the present, so it must not be cached. */
export function sendPage(reply: FastifyReply, content: string): FastifyReply {
  return reply.header('cache-control', 'no-store').type('text/html; charset=utf-8').send(content)
}
