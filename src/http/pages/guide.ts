import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { html } from 'ghtml'
import { Marked } from 'marked'
import { OrderExpiryError } from '../../errors.ts'
import { page } from './page.ts'
import type { Site } from './site.ts'

/** Beside `src` and `dist`; the package and the image have it too. */
const DOCS = fileURLToPath(new URL('../../../docs/', import.meta.url))
const MARKDOWN = /\.md$/

const marked = new Marked({
  /** A table may be wider than a phone: it then scrolls, also by the keyboard. */
  hooks: {
    postprocess: (page) =>
      page.replaceAll('<table>', '<div class="wide" tabindex="0"><table>').replaceAll('</table>', '</table></div>'),
  },
  renderer: {
    heading({ tokens, depth, text }) {
      return html`<h${depth} id="${anchorOf(text)}">!${this.parser.parseInline(tokens)}</h${depth}>
`
    },
    /** Its pages refer to each other by their files; what else is in the source is not served. */
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens)
      const [file = '', anchor] = href.split('#')
      const isServed = href.startsWith('https://') || file === '' || (MARKDOWN.test(file) && !file.includes('/'))
      const to = [file.replace(MARKDOWN, ''), ...(anchor === undefined ? [] : [anchor])].join('#')
      return isServed ? html`<a href="${to}">!${text}</a>` : text
    },
    image: ({ text }) => html`<em>${text}</em>`,
  },
})

/**
 * A page of `docs/`, for those who have no access to the source, or no internet.
 *
 * @param options.name of its file, without the ending
 * @throws {OrderExpiryError} NOT_FOUND
 */
export async function guidePage({ site, name }: { site: Site; name: string }): Promise<string> {
  const files = (await readdir(DOCS).catch(() => [])).filter((file) => MARKDOWN.test(file))
  const file = files.find((known) => known === `${name}.md`)
  if (!file) throw new OrderExpiryError('NOT_FOUND', 'the documentation has no such page')
  const text = await readFile(`${DOCS}${file}`, 'utf8')
  const title = /^# (.*)/m.exec(text)?.[1] ?? name
  const others = files.map((other) => other.replace(MARKDOWN, ''))
  const links = others.map((other) => html`<li><a href="${other}">${other}</a></li>`)
  const body = html`<article class="guide">!${await marked.parse(text)}</article>
<nav aria-label="Documentation"><h2>More</h2><ul>!${links}</ul></nav>`
  return page({ site, title, path: `/guide/${name}`, body })
}

/** As GitHub makes it, so that the same links work there. */
function anchorOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')
}
