import type { CommandContext } from './context.ts'

/** Is aborted by the first signal, which sets the exit code too. A second one ends the process at once. */
export function stopSignal({ signals, exitWith, exitNow }: CommandContext): AbortSignal {
  const stop = new AbortController()
  signals.listen({
    onFirst(_, exitCode) {
      exitWith(exitCode)
      stop.abort(new Error('asked to stop'))
    },
    onSecond: (_, exitCode) => exitNow(exitCode),
  })
  return stop.signal
}
