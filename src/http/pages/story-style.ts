/** The style of an order's story: a verdict that is set off, and a time line along a rail. */
export const STORY_STYLE = `
.verdict { border: 1px solid var(--line); border-left: .35rem solid var(--a); border-radius: .5rem; background: var(--card); padding: .8rem 1rem; margin: 1rem 0 1.4rem }
.verdict h2 { font-size: 1.25rem; margin: 0 0 .2rem } .verdict h2 span { display: inline-block; min-width: 1.1em; text-align: center }
.verdict.is-good { border-left-color: var(--good) } .verdict.is-good h2 { color: var(--good) }
.verdict.is-warn { border-color: var(--warn); background: var(--warn-back) } .verdict.is-warn h2 { color: var(--warn) }
.verdict.is-bad { border-color: var(--bad); background: var(--bad-back) } .verdict.is-bad h2 { color: var(--bad) }
.verdict dl { margin: .7rem 0 0; font-size: .93rem }
.local::before { content: "· " }
.story { list-style: none; margin: 0; padding: 0 }
.story li { position: relative; display: grid; grid-template-columns: minmax(0, 19rem) 1fr; gap: 0 1.2rem; padding: 0 0 1rem 1.4rem; border-left: 2px solid var(--line); margin-left: .4rem }
.story li:last-child { border-left-color: transparent; padding-bottom: 0 }
.story li::before { content: ""; position: absolute; left: calc(-.35rem - 1px); top: .4rem; width: .7rem; height: .7rem; box-sizing: border-box; border-radius: 50%; background: var(--b) }
.story .deciding::before { background: var(--a) } .story .troubling::before { background: var(--c) }
.story .to-come::before, .story .now::before { background: var(--back); border: 2px solid var(--b) }
.story .when time { display: block } .story .when .soft { font-size: .87rem } .story .what { unicode-bidi: isolate }
.story .deciding .what { font-weight: 600 } .story .troubling .what { color: var(--warn) }
@media (max-width: 40rem) { .verdict time { display: block } .story li { grid-template-columns: 1fr; padding-bottom: .9rem } .verdict dl { grid-template-columns: 1fr; gap: 0 } .verdict dd { margin-bottom: .4rem } }
`
