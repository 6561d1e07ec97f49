/**
 * Runs pieces of work, at most `lanes` at a time, the longest first: most of a case is waiting.
 *
 * @returns a promise for each, in their order. All are started whoever awaits them.
 */
export function sideBySide<T>(
  works: readonly { seconds: number; run: () => Promise<T> }[],
  lanes: number,
): Promise<T>[] {
  const queue = works.map((work) => {
    let begin: () => void = () => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const done = begun.then(work.run)
    done.catch(() => {}) // whoever awaits it hears of it
    return { ...work, begin, done }
  })
  const waiting = queue.toSorted((a, b) => b.seconds - a.seconds)
  const next = (): void => {
    const work = waiting.shift()
    if (!work) return
    work.begin()
    work.done.then(next, next)
  }
  for (let lane = 0; lane < lanes; lane++) next()
  return queue.map(({ done }) => done)
}
