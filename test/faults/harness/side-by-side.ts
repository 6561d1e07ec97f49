interface Work<T> {
  /** How long it takes, about. */
  seconds: number
  /** Nothing else may run beside it. */
  isAlone?: boolean | undefined
  run: () => Promise<T>
}

/**
 * Runs pieces of work, at most `lanes` at a time, the longest first: most of a case is waiting. Those that must be alone
 * come last, one after the other.
 *
 * @returns a promise for each, in their order. All are started whoever awaits them.
 */
export function sideBySide<T>(works: readonly Work<T>[], lanes: number): Promise<T>[] {
  const queue = works.map((work) => {
    let begin: () => void = () => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const done = begun.then(work.run)
    done.catch(() => {}) // whoever awaits it hears of it
    return { ...work, begin, done }
  })
  const run = async (waiting: typeof queue) => {
    for (let work = waiting.shift(); work; work = waiting.shift()) {
      work.begin()
      await work.done.catch(() => {})
    }
  }
  const together = queue.filter(({ isAlone }) => !isAlone).sort((a, b) => b.seconds - a.seconds)
  const alone = queue.filter(({ isAlone }) => isAlone)
  void Promise.all(Array.from({ length: lanes }, () => run(together))).then(() => run(alone))
  return queue.map(({ done }) => done)
}
