import type { Clock } from './clock.ts'

/** The signals that ask a process to end, with the exit code of a process that they ended: 128 + their number. */
const SIGNALS = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129 } as const

/** npm and the terminal both pass Ctrl-C on, within milliseconds. */
const SAME_WITHIN_MS = 500

/** Stops in order with the first signal, and at once with one more that comes half a second later or more. */
type SignalListener = Record<'onFirst' | 'onSecond', (signal: string, exitCode: number) => void>

/** Handles SIGTERM, SIGINT and SIGHUP from the start: process 1 of a container loses a signal without a handler. */
export class Signals {
  #listener: SignalListener | undefined
  #firstAt: number | undefined

  /** @param options.onUnheard called for a signal that nobody listens to (yet) */
  constructor({ clock, onUnheard }: { clock: Clock; onUnheard: (exitCode: number) => void }) {
    for (const [signal, exitCode] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        const now = clock.monotonic()
        if (!this.#listener) return onUnheard(exitCode)
        if (this.#firstAt === undefined) {
          this.#firstAt = now
          this.#listener.onFirst(signal, exitCode)
        } else if (now - this.#firstAt >= SAME_WITHIN_MS) this.#listener.onSecond(signal, exitCode)
      })
    }
  }

  listen(listener: SignalListener): void {
    this.#listener = listener
  }
}
