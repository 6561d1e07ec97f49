const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => String.fromCodePoint(from + n)).join('')

/** What a terminal obeys or does not show: all of it, but the tab. */
export const UNSEEN = [
  range(0x00, 0x08) + range(0x0a, 0x1f), // C0
  range(0x7f, 0x9f), // DEL and C1
  '\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069', // direction
  '\u00ad\u200b\u200c\u200d\u2060\u2061\u2064\ufeff\u3164\u115f\u180e\ufff9', // no width
  '\u2028\u2029', // lines
  '\u{e0001}\u{e0041}', // tags
].join('')
