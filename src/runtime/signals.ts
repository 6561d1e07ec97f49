/** The signals that ask a process to end, with the exit code of a process that they ended: 128 + their number. */
const SIGNALS = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129 } as const

/** Stops in order with the first signal, and at once with one more. */
type SignalListener = Record<'onFirst' | 'onSecond', (signal: string, exitCode: number) => void>

/** Handles SIGTERM, SIGINT and SIGHUP from the start: process 1 of a container loses a signal without a handler. */
export class Signals {
  #listener: SignalListener | undefined
  #received = 0

  /** @param options.onUnheard called for a signal that nobody listens to (yet) */
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
