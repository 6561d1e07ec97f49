import type { Clock } from './clock.ts'

/** The signals by which a process is asked to end, with what a shell calls the exit code of a process they ended. */
const SIGNALS = { SIGTERM: 143, SIGINT: 130 } as const

/**
 * Listens for SIGTERM and SIGINT.
 *
 * @param options.onFirst the first signal: stop in order
 * @param options.onSecond one more: stop at once; `exitCode` is 128 + the number of the signal
 */
export function listenForSignals(options: {
  onFirst: (signal: string) => void
  onSecond: (signal: string, exitCode: number) => void
}): void {
  let received = 0
  for (const [signal, exitCode] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      received++
      if (received === 1) options.onFirst(signal)
      else options.onSecond(signal, exitCode)
    })
  }
}

/** Calls `onBite` if the process is still there after `ms`. */
export function startWatchdog(options: { ms: number; clock: Clock; onBite: () => void }): void {
  void options.clock.sleep(options.ms).then(options.onBite)
}
