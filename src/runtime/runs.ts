/** The items in their order, in pieces whose items have the same key. */
export function runsOf<Item>(items: readonly Item[], keyOf: (item: Item) => unknown): Item[][] {
  const runs: Item[][] = []
  let last: unknown
  for (const item of items) {
    const key = keyOf(item)
    if (runs.length > 0 && key === last) runs.at(-1)?.push(item)
    else runs.push([item])
    last = key
  }
  return runs
}
