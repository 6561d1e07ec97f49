/** A table of figures, before it is text or Markdown. */
export interface Table {
  /** What tells it apart from the other tables of its question; may be empty. */
  heading: string
  /** Of the first column, then of the others. */
  head: readonly string[]
  rows: readonly Row[]
}

export interface Row {
  name: string
  cells: readonly Cell[]
  /** Whether it is shown as the one that the others are compared with. */
  isOurs?: boolean
}

export interface Cell {
  text: string
  /** Said in a lower voice behind it, such as a ratio. */
  note?: string
}

/** How text is set off on a terminal that can; {@link plain} on one that cannot. */
export interface Style {
  bold(text: string): string
  dim(text: string): string
  good(text: string): string
  bad(text: string): string
}

const same = (text: string) => text

export const plain: Style = { bold: same, dim: same, good: same, bad: same }

/** Before each line. */
export const MARGIN = '  '
const GAP = '   '

/** Lines of equal columns: the first to the left, the others to the right, notes in columns of their own. */
export function asText(table: Table, style: Style = plain): string[] {
  const { heading, head, rows } = table
  const nameWidth = widest([heading || (head[0] ?? ''), ...rows.map(({ name }) => name)])
  const columns = head.slice(1).map((title, index) => {
    const cells = rows.map(({ cells }) => cells[index])
    const noteWidth = widest(cells.map((cell) => cell?.note ?? ''))
    const ownWidth = widest(cells.map((cell) => cell?.text ?? ''))
    const textWidth = Math.max(ownWidth, width(title))
    return { title, textWidth, noteWidth }
  })
  const first = padEnd(heading || (head[0] ?? ''), nameWidth)
  const titles = columns.map(({ title, textWidth, noteWidth }) => [
    style.dim(padStart(title, textWidth)),
    noteOf('', noteWidth),
  ])
  const lines = [line([heading ? style.bold(first) : style.dim(first), ...titles.map((parts) => parts.join(''))])]
  for (const { name, cells, isOurs } of rows) {
    const set = isOurs ? style.bold : same
    const parts = columns.map(({ textWidth, noteWidth }, index) => {
      const { text = '', note = '' } = cells[index] ?? {}
      return set(padStart(text, textWidth)) + style.dim(noteOf(note, noteWidth))
    })
    lines.push(line([set(padEnd(name, nameWidth)), ...parts]))
  }
  return lines
}

/** The same as Markdown, with the heading in the first column's title. */
export function asMarkdown({ heading, head, rows }: Table): string[] {
  const [first = '', ...others] = head
  const lines = [
    [heading || first, ...others],
    ['---', ...others.map(() => '---:')],
    ...rows.map(({ name, cells, isOurs }) => [
      isOurs ? `**${name}**` : name,
      ...others.map((_, index) => {
        const { text = '', note } = cells[index] ?? {}
        return note ? `${text} (${note})` : text
      }),
    ]),
  ]
  return lines.map((cells) => `| ${cells.map(escapePipes).join(' | ')} |`)
}

/** A number as it is read: thousands apart, so many decimals. */
export function formatNumber(value: number, decimals = 0): string {
  return value.toLocaleString('en', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
}

/** A ratio in three digits or so, such as `0.36 ×` or `13.9 ×`. */
export function formatRatio(ratio: number): string {
  const decimals = ratio < 0.1 ? 3 : ratio < 10 ? 2 : ratio < 100 ? 1 : 0
  return `${formatNumber(ratio, decimals)} ×`
}

/** How many columns a terminal gives it; there is no wide text in the bench. */
function width(text: string): number {
  return [...text].length
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(width))
}

function padEnd(text: string, to: number): string {
  return text + ' '.repeat(Math.max(0, to - width(text)))
}

function padStart(text: string, to: number): string {
  return ' '.repeat(Math.max(0, to - width(text))) + text
}

function noteOf(note: string, noteWidth: number): string {
  return noteWidth > 0 ? padStart(note, noteWidth + 2) : ''
}

function line(parts: readonly string[]): string {
  return (MARGIN + parts.join(GAP)).trimEnd()
}

function escapePipes(text: string): string {
  return text.replaceAll('|', '\\|')
}
