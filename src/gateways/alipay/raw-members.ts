const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g

/**
 * The members of a JSON object, each with the text of its value exactly as it was written: signatures are of that, and no parser
 * gives it back.
 *
 * @param text well-formed JSON, of an object
 */
export function rawMembers(text: string): Map<string, string> {
  const members = new Map<string, string>()
  let depth = 0
  let name = ''
  let from: number | undefined
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    const isEnd = depth === 0 || (depth === 1 && token === ',')
    if (isEnd && from !== undefined) {
      members.set(name, text.slice(from, index).trim())
      from = undefined
    } else if (depth === 1 && token === ':') from = index + 1
    else if (depth === 1 && from === undefined && token.startsWith('"')) name = JSON.parse(token)
  }
  return members
}
