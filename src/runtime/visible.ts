/**
 * What a terminal obeys or does not show: control characters of ASCII (but the tab) and of Latin-1, marks that turn the direction of
 * writing, characters of no width, line separators, halves of a surrogate pair. Not the selectors of a variant, as of emoji.
 * https://trojansource.codes
 */
const UNSEEN = /(?!\t|[\ufe00-\ufe0f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu

/**
 * One line in which everything can be seen and nothing acts on a terminal: such characters are written as `\u001b`, a line feed as
 * `\n`. Of a line of JSON the meaning stays the same.
 */
export function visibleLine(text: string): string {
  return text.replace(UNSEEN, (char) => (char === '\n' ? '\\n' : escaped(char)))
}

/** {@link visibleLine} of several lines of ours, whose second and further ones are indented: so no other text can begin one. */
export function visibleLines(text: string): string {
  return text
    .split(/\n(?= {2})/)
    .map(visibleLine)
    .join('\n')
}

/** {@link visibleLine} of each line: for HTML, where no line can pass for another. */
export function visibleText(text: string): string {
  return text.split('\n').map(visibleLine).join('\n')
}

function escaped(char: string): string {
  return char
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
