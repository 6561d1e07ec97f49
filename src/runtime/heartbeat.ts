import type { Clock } from './clock.ts'

/** When a loop that must go on last went on. */
export class Heartbeat {
  readonly name: string
  readonly #clock: Clock
  #at: number

  constructor({ name, clock }: { name: string; clock: Clock }) {
    this.name = name
    this.#clock = clock
    this.#at = clock.monotonic()
  }

  /** The loop goes on, or rests for a good reason. */
  beat(): void {
    this.#at = this.#clock.monotonic()
  }

  get ageMs(): number {
    return this.#clock.monotonic() - this.#at
  }
}
