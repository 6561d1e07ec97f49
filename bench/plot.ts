/** What a plot is drawn from: small pieces of SVG, readable on a light and on a dark page, without scripts or fonts. */

/** Okabe and Ito's colours, which people tell apart whatever their colour vision; lighter on a dark page. https://jfly.uni-koeln.de/color/ */
const COLOURS: readonly { light: string; dark: string }[] = [
  { light: '#0072b2', dark: '#56b4e9' },
  { light: '#d55e00', dark: '#ff8a3d' },
  { light: '#009e73', dark: '#2fd0a2' },
  { light: '#b0568a', dark: '#e39ac6' },
  { light: '#a87500', dark: '#f0c33c' },
  { light: '#5c5c5c', dark: '#c4c4c4' },
  { light: '#4b3fa7', dark: '#a79cf5' },
  { light: '#8c2d04', dark: '#f4a582' },
]
/** A second sign beside the colour. */
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '4 2', '12 4', '1 2', '6 2 1 2 1 2']

/** How the n-th line of a plot is drawn. */
export function lineStyle(index: number): { className: string; dash: string } {
  return { className: `c${index % COLOURS.length}`, dash: DASHES[index % DASHES.length] ?? '' }
}

/** The whole picture. `title` and `description` are for those who do not see it. */
export function svg(options: {
  width: number
  height: number
  title: string
  description: string
  body: readonly string[]
}): string {
  const { width, height, title, description, body } = options
  const variables = (side: 'light' | 'dark') => COLOURS.map((colour, index) => `--c${index}:${colour[side]}`).join(';')
  const classes = COLOURS.map((_, index) => `.c${index}{stroke:var(--c${index})} .t${index}{fill:var(--c${index})}`)
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escapeXml(title)}</title>`,
    `<desc id="description">${escapeXml(description)}</desc>`,
    '<style>',
    `svg{--back:#ffffff;--ink:#1f2328;--soft:#59636e;--grid:#e3e6ea;--axis:#8c959f;${variables('light')}}`,
    `@media (prefers-color-scheme:dark){svg{--back:#0d1117;--ink:#e6edf3;--soft:#9198a1;--grid:#262c34;--axis:#656d76;${variables('dark')}}}`,
    'text{font:12px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:var(--ink)}',
    '.soft{fill:var(--soft)} .title{font-size:15px;font-weight:600} .panel{font-size:13px;font-weight:600} .strong{font-weight:700}',
    '.back{fill:var(--back)} .grid{stroke:var(--grid);fill:none} .axis{stroke:var(--axis);fill:none} .mark{stroke:var(--soft);stroke-dasharray:3 3;fill:none}',
    '.label{paint-order:stroke;stroke:var(--back);stroke-width:4px;stroke-linejoin:round}',
    '.line{fill:none;stroke-width:1.8;stroke-linejoin:round} .ours{stroke-width:3.2}',
    ...classes,
    '</style>',
    `<rect class="back" width="${width}" height="${height}"/>`,
    ...body,
    '</svg>',
  ].join('\n')}\n`
}

export function text(options: {
  x: number
  y: number
  text: string
  className?: string
  anchor?: 'start' | 'middle' | 'end'
  /** Turned to be read from below, as along a vertical axis. */
  isUpright?: boolean
}): string {
  const { x, y, text: words, className, anchor = 'start', isUpright } = options
  const attributes = [
    `x="${round(x)}" y="${round(y)}"`,
    ...(className ? [`class="${className}"`] : []),
    ...(anchor === 'start' ? [] : [`text-anchor="${anchor}"`]),
    ...(isUpright ? [`transform="rotate(-90 ${round(x)} ${round(y)})"`] : []),
  ]
  return `<text ${attributes.join(' ')}>${escapeXml(words)}</text>`
}

export function line(options: {
  x1: number
  y1: number
  x2: number
  y2: number
  className: string
  dash?: string
}): string {
  const { x1, y1, x2, y2, className, dash } = options
  const dashes = dash ? ` stroke-dasharray="${dash}"` : ''
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" class="${className}"${dashes}/>`
}

/** A line through points. */
export function path(options: { points: readonly Point[]; className: string; dash?: string }): string {
  const { points, className, dash } = options
  const d = points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join('')
  return `<path d="${d}" class="${className}"${dash ? ` stroke-dasharray="${dash}"` : ''}/>`
}

export function dot(options: { x: number; y: number; index: number; isHollow?: boolean }): string {
  const { x, y, index, isHollow } = options
  const own = index % COLOURS.length
  return `<circle cx="${round(x)}" cy="${round(y)}" r="4.5" class="${isHollow ? `back c${own}` : `t${own}`}" stroke-width="2"/>`
}

interface Point {
  x: number
  y: number
}

/** Where a value is on an axis, in pixels. */
export type Scale = (value: number) => number

export function linearScale(from: { min: number; max: number }, to: { min: number; max: number }): Scale {
  const span = from.max - from.min || 1
  return (value) => to.min + ((value - from.min) / span) * (to.max - to.min)
}

/** What is below the least, 0 included, is at the least. */
export function logScale(from: { min: number; max: number }, to: { min: number; max: number }): Scale {
  const linear = linearScale({ min: Math.log10(from.min), max: Math.log10(from.max) }, to)
  return (value) => linear(Math.log10(Math.max(value, from.min)))
}

/** Round steps from 0 to at least `max`, about as many as asked for. */
export function niceSteps(max: number, count = 4): number[] {
  if (!(max > 0)) return [0, 1]
  const rough = max / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power
  const steps = Math.ceil(max / step - 1e-9)
  return Array.from({ length: steps + 1 }, (_, index) => Number((index * step).toPrecision(12)))
}

function escapeXml(words: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return words.replace(/[&<>"]/g, (char) => entities[char] ?? char)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
