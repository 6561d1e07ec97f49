import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { Clock } from './clock.ts'
import { withTimeout } from './timeout.ts'

/**
 * A part of the daemon with a life of its own.
 *
 * - `start` resolves when the part serves, with the parts that exist only now, if any: they are started next. If it rejects,
 *   or the signal is aborted, it leaves nothing running behind.
 * - `stop` may be called at any time, more than once, and before `start`. It finishes what the part is doing and gives back
 *   what it holds. It resolves even if everything that the part talks to is down.
 */
export interface Service {
  readonly name: string
  // biome-ignore lint/suspicious/noConfusingVoidType: most services hand over nothing
  start(signal: AbortSignal): Promise<void | readonly Service[]>
  stop(): Promise<void>
}

/** A list of services that start in order and stop in the opposite order. */
export class Lifecycle {
  readonly #options: { services: readonly Service[]; clock: Clock }
  #started: Service[] = []
  #stopping: Promise<OrderExpiryError[]> | undefined

  constructor(options: { services: readonly Service[]; clock: Clock }) {
    this.#options = options
  }

  /** Starts one after another. Rejects with the first error or the signal's reason; then {@link stop} those that were started. */
  async start(signal: AbortSignal): Promise<void> {
    const left = [...this.#options.services]
    for (let service = left.shift(); service; service = left.shift()) {
      signal.throwIfAborted()
      this.#started.push(service)
      left.unshift(...((await service.start(signal)) ?? []))
    }
  }

  /**
   * Stops the services that were started, last first, and tells what went wrong. Each may take all the time that is left,
   * less a little for those after it. A call while another is under way shares its result.
   */
  stop(withinMs: number): Promise<OrderExpiryError[]> {
    this.#stopping ??= this.#stopAll(withinMs).finally(() => {
      this.#stopping = undefined
    })
    return this.#stopping
  }

  async #stopAll(withinMs: number): Promise<OrderExpiryError[]> {
    const { clock } = this.#options
    const errors: OrderExpiryError[] = []
    const endsAt = clock.monotonic() + withinMs
    const stopping = this.#started.reverse()
    this.#started = []
    for (const [index, service] of stopping.entries()) {
      const reserveMs = (withinMs / 10 / stopping.length) * (stopping.length - index - 1)
      const ms = Math.max(50, endsAt - clock.monotonic() - reserveMs)
      try {
        await withTimeout({ work: service.stop(), ms, clock, onTimeout: () => tooSlow(service, ms) })
      } catch (error) {
        errors.push(asOrderExpiryError(error))
      }
    }
    return errors
  }
}

function tooSlow({ name }: Service, ms: number): OrderExpiryError {
  const message = `${name} did not stop within ${Math.round(ms)} ms; going on without it`
  return new OrderExpiryError('STOP_INCOMPLETE', message)
}
