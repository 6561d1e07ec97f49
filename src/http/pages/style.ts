/** The style of all pages: for a phone and a wide screen, in light and dark. Contrasts are at least 4.5 to 1. */
export const STYLE = `
:root { color-scheme: light dark; --back: #fff; --text: #1a1f26; --soft: #586472; --line: #d9dee5; --card: #f6f8fa;
  --good: #17723f; --bad: #b91c26; --warn: #8a5100; --bad-back: #fdf0f0; --warn-back: #fdf6e9; --link: #1f5fc9;
  --a: #2f6fdb; --b: #8a94a3; --c: #d08700; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --text: #e6eaf0; --soft: #9aa6b5; --line: #2c343f;
  --card: #1a2028; --good: #4cc98b; --bad: #ff7b80; --warn: #f0b050; --bad-back: #2c1a1e; --warn-back: #2a2317;
  --link: #82b0ff; --a: #6ea2ff; --b: #7c8897; --c: #f0b050; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 78rem; padding: 0 1.25rem 3rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
a { color: var(--link) } a:focus-visible, button:focus-visible, input:focus-visible, summary:focus-visible {
  outline: 2px solid var(--link); outline-offset: 2px; border-radius: .25rem }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .2rem; letter-spacing: -.01em } h2 { font-size: 1rem; margin: 0 0 .6rem } h3 { font-size: 1rem }
p { margin: .3rem 0 } code, pre { font: .92em/1.5 ui-monospace, monospace }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; white-space: pre-wrap; margin: .5rem 0 }
.soft { color: var(--soft) } .good { color: var(--good) } .bad { color: var(--bad) } .warn { color: var(--warn) }
.top { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: center; padding: .8rem 0; margin-bottom: 1.4rem; border-bottom: 1px solid var(--line) }
.brand { font-weight: 650; color: inherit; text-decoration: none }
.badge { border: 1px solid; border-radius: 1rem; padding: 0 .6rem; font-size: .87rem; color: var(--warn) }
.top nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-left: auto } .top nav a { padding: .15rem 0 }
.top a[aria-current] { color: inherit; text-decoration: none; font-weight: 600 }
form { display: flex; gap: .5rem; margin: .8rem 0 } ::placeholder { color: var(--soft); opacity: 1 }
input, button { font: inherit; color: inherit; background: var(--back); padding: .3rem .7rem; border: 1px solid var(--soft); border-radius: .35rem } input { flex: 0 1 22rem; min-width: 0 }
button { background: var(--card); cursor: pointer; flex: none; white-space: nowrap }
footer { margin-top: 2rem; padding-top: .8rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .87rem }
section { margin: 1.6rem 0 } .sub { display: flex; flex-wrap: wrap; gap: .2rem 1rem }
.trouble { border: 1px solid; border-left-width: .3rem; border-radius: .5rem; padding: .8rem 1rem; margin: 0 0 1rem; border-color: var(--bad); background: var(--bad-back) }
.trouble.mild { border-color: var(--warn); background: var(--warn-back) } .trouble h1, .trouble h2 { color: var(--bad); margin: 0 } .trouble h2 { font-size: 1.15rem }
.trouble.mild h1, .trouble.mild h2 { color: var(--warn) }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.2rem, 1fr)); gap: .7rem; margin: 1rem 0; padding: 0; list-style: none }
.tile { display: block; height: 100%; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .85rem .7rem; color: inherit; text-decoration: none }
.tile:hover { border-color: var(--link) } .tile span { display: block; color: var(--soft); font-size: .87rem; line-height: 1.35 }
.tile b { display: block; font-size: 1.4rem; line-height: 1.35; font-variant-numeric: tabular-nums } .tile.bad { border-color: var(--bad); background: var(--bad-back) }
.tile.bad b { color: var(--bad) } .tile.warn b { color: var(--warn) } .tile.good b { color: var(--good) }
.plots { display: grid; gap: .7rem } .two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 0 2rem } .two > * { min-width: 0 }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem }
figcaption { display: flex; flex-wrap: wrap; gap: .1rem .9rem; align-items: baseline; margin-bottom: .8rem } figcaption h2 { margin: 0 }
.plot { display: grid; grid-template-columns: auto 1fr; gap: 0 .5rem; font-size: .75rem; color: var(--soft); font-variant-numeric: tabular-nums }
.plot .axis-y { display: flex; flex-direction: column; justify-content: space-between; text-align: right; line-height: 1; margin: -.5em 0 } .plot .axis-x { grid-column: 2; display: flex; justify-content: space-between; padding-top: .25rem }
.plot svg { display: block; width: 100%; height: 7.5rem; overflow: visible } .rule { stroke: var(--line) } .rule, .line, .dot { vector-effect: non-scaling-stroke; fill: none }
.line { stroke-width: 1.5; stroke-linejoin: round } .dot { stroke-width: 5; stroke-linecap: round } rect.a { fill: var(--a) } rect.b { fill: var(--b) } rect.c { fill: var(--c) }
.line.a, .dot.a { stroke: var(--a) } .line.c, .dot.c { stroke: var(--c) }
.key { margin-right: .9em } .key::before { content: ""; display: inline-block; width: .7em; height: .7em; border-radius: .15em; margin-right: .35em }
.key.a::before { background: var(--a) } .key.b::before { background: var(--b) } .key.c::before { background: var(--c) }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .35rem 1.2rem .35rem 0; vertical-align: top; border-top: 1px solid var(--line) }
thead th { overflow-wrap: normal; border-top: 0; color: var(--soft); font-weight: 500; font-size: .87rem } tbody th { font-weight: inherit } td { font-variant-numeric: tabular-nums } .two tbody th { min-width: 5.5rem }
time { font-variant-numeric: tabular-nums; white-space: nowrap }
.guide h2, nav h2 { margin-top: 2rem } .guide p, .guide li { max-width: 56rem } .wide { overflow-x: auto } .wide td { overflow-wrap: normal } .wide:focus-visible { outline: 2px solid var(--link) }
dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1.2rem; margin: 1rem 0 } dt { color: var(--soft) } dd { margin: 0 }
@media (max-width: 40rem) { .more { display: none } body { padding: 0 .9rem 2rem } .top { margin-bottom: 1rem } .top nav { margin-left: 0; width: 100%; gap: .2rem .65rem; font-size: .93rem } .tiles { grid-template-columns: 1fr 1fr; gap: .5rem }
  .tile { padding: .5rem .65rem .6rem } .tile b { font-size: 1.2rem } td, th { padding-right: .6rem } .two table { font-size: .87rem } .two thead th { font-size: .8rem } }
`
