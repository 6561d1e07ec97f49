import type { FastifyReply } from 'fastify'
import { html } from 'ghtml'

const STYLE = `
:root { color-scheme: light dark; --back: #fff; --text: #1a1f26; --soft: #5b6673; --line: #d9dee5; --card: #f5f7f9;
  --good: #1a7f4b; --bad: #c0262d; --warn: #9a5b00; --a: #2f6fdb; --b: #8a94a3; --c: #d08700; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --text: #e6eaf0; --soft: #98a4b3; --line: #2c343f;
  --card: #1a2028; --good: #45c486; --bad: #ff6b70; --warn: #f0b050; --a: #6ea2ff; --b: #7c8897; --c: #f0b050; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 96rem; padding: 1rem 1.5rem 3rem; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif }
header { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: baseline }
h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
input, button { font: inherit; padding: .1rem .5rem } a { color: var(--a) } .soft { color: var(--soft) } .badge { border: 1px solid; border-radius: 1rem; padding: 0 .6rem }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 1rem 0 }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; margin: 0 }
.card .soft { font-size: .87rem } .card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
.good { color: var(--good) } .bad { color: var(--bad) } .warn { color: var(--warn) }
.plots { display: grid; gap: .75rem } .plots > * { min-width: 0 } .wide { overflow-x: auto } .past { direction: rtl } .plots .soft { font-weight: normal }
svg { direction: ltr; width: 100%; min-width: 50rem; height: auto; display: block } svg text { font-size: 11px; fill: var(--soft) }
.axis { stroke: var(--line) } rect.a, circle.a { fill: var(--a) } rect.b, circle.b { fill: var(--b) }
rect.c, circle.c { fill: var(--c) } .line { fill: none; stroke-width: 1.5 } .line.a { stroke: var(--a) } .line.c { stroke: var(--c) }
.key { display: inline-block; margin-left: .9em } .key::before { content: ""; display: inline-block; width: .7em; height: .7em;
  border-radius: .15em; margin-right: .35em } .key.a::before { background: var(--a) } .key.b::before { background: var(--b) }
.key.c::before { background: var(--c) }
h1, p, td { overflow-wrap: anywhere } table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem 1.5rem .3rem 0; vertical-align: top;
  border-top: 1px solid var(--line) } td:first-child { width: 1%; white-space: nowrap; font-variant-numeric: tabular-nums }
`

/** A whole page around `body`, which is HTML. It has no script, loads nothing from another site, and needs no build. */
export function page(options: { title: string; refreshSeconds?: number; body: string }): string {
  const { title, refreshSeconds, body } = options
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title}</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
!${refreshSeconds ? html`<meta http-equiv="refresh" content="${refreshSeconds}">` : ''}
<style>!${STYLE}</style>
</head>
<body>
!${body}
</body>
</html>
`
}

/** Answers with a page that shows the present, so it must not be cached. */
export function sendPage(reply: FastifyReply, content: string): FastifyReply {
  return reply.header('cache-control', 'no-store').type('text/html; charset=utf-8').send(content)
}
