/** The deepest body of the API has 3 levels, the largest some 6,000 values. */
const MOST_LEVELS = 32
const MOST_VALUES = 20_000

const [QUOTE, BACKSLASH, COMMA, OPEN_LIST, OPEN_OBJECT, CLOSE_LIST, CLOSE_OBJECT] = Buffer.from('"\\,[{]}')

/**
 * Whether JSON, once it is parsed, takes memory in proportion to its text. What is nothing but brackets takes thirty times as
 * much, so that a few bodies of the longest that we take would fill the heap. What is no JSON is for the parser to tell.
 */
export function isWithinBounds(json: Buffer): boolean {
  let levels = 0
  let values = 0
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]
    if (byte === QUOTE) at = endOfString(json, at)
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values++
      levels++
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) levels--
    else if (byte === COMMA) values++
    if (levels > MOST_LEVELS || values > MOST_VALUES) return false
  }
  return true
}

/** Where the string that begins at `start` ends, or the text does. */
function endOfString(json: Buffer, start: number): number {
  let at = start + 1
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1
  return at
}
