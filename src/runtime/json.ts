/** What a text says if it is JSON; undefined where it is not: somebody else may have written anything. */
export function readJson(text: unknown): unknown {
  try {
    return JSON.parse(text as string)
  } catch {
    return undefined
  }
}
