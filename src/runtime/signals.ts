import type { Clock } from './clock.ts'

/** The signals by which a process is asked to end, with the exit code that a shell gives a process they have ended. */
const SIGNALS = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129 } as const

interface SignalListener {
  /** The first signal: stop in order. */
  onFirst: (signal: string, exitCode: number) => void
  /** One more: stop at once. `exitCode` is 128 + the number of the signal. */
  onSecond: (signal: string, exitCode: number) => void
}

/** Takes SIGTERM, SIGINT and SIGHUP from the start: as process 1 of a container, one without a handler is lost. */
export class Signals {
  #listener: SignalListener | undefined
  #received = 0

  /** @param options.onUnheard a signal that nobody listens to yet, or at all */
  constructor(options: { onUnheard: (exitCode: number) => void }) {
    for (const [signal, exitCode] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        this.#received++
        if (!this.#listener) options.onUnheard(exitCode)
        else if (this.#received === 1) this.#listener.onFirst(signal, exitCode)
        else this.#listener.onSecond(signal, exitCode)
      })
    }
  }

  listen(listener: SignalListener): void {
    this.#listener = listener
  }
}

/** Calls `onBite` if the process is still there after `ms`. */
export function startWatchdog(options: { ms: number; clock: Clock; onBite: () => void }): void {
  void options.clock.sleep(options.ms).then(options.onBite)
}
