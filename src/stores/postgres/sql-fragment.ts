/** A part of a statement that the shop has written in a setting. */
export interface Fragment {
  sql: string
  /** The names that stand before a parenthesis: of functions, and a few keywords. */
  calls: string[]
}

/**
 * One expression, which stays one wherever it is put into parentheses. Not checked here: that it has the right type, and that
 * its columns and functions exist; the database does that.
 *
 * @throws {SyntaxError} that says what was expected
 */
export function parseExpression(text: string): Fragment {
  const tokens = tokenize(text)
  if (tokens.length === 0) throw new SyntaxError('expected an expression')
  if (splitAt(tokens, ',').length > 1) throw new SyntaxError('expected one expression, without a comma')
  return toFragment(text, tokens)
}

/**
 * `column = expression, …`. `column` is the bare name, in lower case if it was written without quotes.
 *
 * @throws {SyntaxError} that says what was expected
 */
export function parseAssignments(text: string): (Fragment & { column: string })[] {
  return splitAt(tokenize(text), ',').map((tokens) => {
    const [name, equals, ...expression] = tokens
    if (!name || !isName(name.text) || equals?.text !== '=' || expression.length === 0) {
      throw new SyntaxError('expected column = expression, separated by commas')
    }
    return { column: bareName(name.text), ...toFragment(text, expression) }
  })
}

interface Token {
  text: string
  /** Where it begins and ends in the text. */
  from: number
  to: number
  /** How many parentheses and brackets it stands in. */
  depth: number
}

/**
 * What may occur, as PostgreSQL splits it (https://www.postgresql.org/docs/current/sql-syntax-lexical.html). Not among it:
 * dollar quotes, parameters and comments; nobody needs them here, and they could hide the rest. A text with escapes must be closed
 * and not be continued by another, in which escapes would count as well.
 */
const TOKEN =
  /\s+|([eE]'(?:[^'\\]|''|\\[\s\S])*'(?!\s*')|'(?:[^']|'')*'|"(?:[^"]|"")+"|(?![eE]')[\p{L}_][\p{L}\p{N}_$]*|\d[\w.]*|::|=(?=[+-](?:[^<>=!~@#%^&|?+*/-]|$))|[<>=!~@#%^&|?+*/-]+|[[\](),.:])/uy
/** How a query of other rows begins. All else that is no expression is a syntax error between parentheses. */
const QUERIES = /^(select|values|table)$/i
const COMMENTS = /--|\/\*/
const CLOSING = new Map([
  [')', '('],
  [']', '['],
])

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  const open: string[] = []
  for (const match of matchesOf(text)) {
    const [whole, token] = match
    if (token === undefined) continue
    if (COMMENTS.test(token) && !/^['"eE]/.test(token)) throw new SyntaxError('expected no comment')
    if (CLOSING.has(token) && open.pop() !== CLOSING.get(token))
      throw new SyntaxError('expected an opening parenthesis before a closing one')
    tokens.push({ text: token, from: match.index, to: match.index + whole.length, depth: open.length })
    if (token === '(' || token === '[') open.push(token)
  }
  if (open.length > 0) throw new SyntaxError('expected a closing parenthesis for each opening one')
  return tokens
}

function* matchesOf(text: string): Generator<RegExpExecArray> {
  TOKEN.lastIndex = 0
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (!match) throw new SyntaxError(`expected no ${JSON.stringify(text[at])} outside of quotes`)
    yield match
  }
}

function toFragment(text: string, tokens: readonly Token[]): Fragment {
  const query = tokens.find((token) => QUERIES.test(token.text))
  if (query)
    throw new SyntaxError(
      `expected only columns of the same row, no ${query.text.toUpperCase()}; name a view in ORDERS_TABLE that has what other rows say as a column`,
    )
  const calls = tokens.filter(({ text: name }, n) => isName(name) && tokens[n + 1]?.text === '(')
  const [first, last] = [tokens[0] as Token, tokens.at(-1) as Token]
  return { sql: text.slice(first.from, last.to), calls: [...new Set(calls.map(({ text: name }) => bareName(name)))] }
}

function splitAt(tokens: readonly Token[], separator: string): Token[][] {
  const parts: Token[][] = [[]]
  for (const token of tokens) {
    if (token.text === separator && token.depth === 0) parts.push([])
    else parts.at(-1)?.push(token)
  }
  return parts
}

function isName(token: string): boolean {
  return /^["\p{L}_]/u.test(token) && !/^[eE]'/.test(token)
}

/** PostgreSQL folds names without quotes to lower case, but only their letters from A to Z. */
function bareName(token: string): string {
  if (token.startsWith('"')) return token.slice(1, -1).replaceAll('""', '"')
  return token.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** Whether SQL names a column; its texts and comments do not count. */
export function namesColumn(sql: string, column: string): boolean {
  const code = sql.replace(/'(?:[^']|'')*'|--.*|\/\*[\s\S]*?\*\//g, ' ')
  const name = column.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&')
  return new RegExp(`(?<![\\p{L}\\p{N}_$])${name}(?![\\p{L}\\p{N}_$])`, 'iu').test(code)
}
