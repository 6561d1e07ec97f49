/** Polls until `probe` returns something other than undefined or false, for state that announces itself to nobody. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 20_000,
): Promise<T> {
  const endsAt = Date.now() + withinMs
  for (;;) {
    const result = await probe()
    if (result !== undefined && result !== false) return result
    if (Date.now() > endsAt) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Resolves once this machine's clock shows another millisecond than now, so that what comes now is not of the same moment. */
export async function laterMillisecond(): Promise<void> {
  const now = Date.now()
  await eventually('the clock goes on', () => Date.now() > now)
}
