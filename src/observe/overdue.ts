import type { Clock } from '../runtime/clock.ts'
import type { EventBus, LeftOverdue } from './events.ts'

/** What the last sweep of this process that knew has left overdue; it grows older until the next one. */
export class Overdue {
  readonly #clock: Clock
  #known: { left: LeftOverdue; at: number } | undefined

  constructor(options: { events: EventBus; clock: Clock }) {
    this.#clock = options.clock
    options.events.on('sweep-finished', ({ left }) => {
      if (left) this.#known = { left, at: this.#clock.monotonic() }
    })
  }

  /** Undefined: no sweep has known yet. */
  get now(): { orders: number; oldestSeconds: number } | undefined {
    if (!this.#known) return undefined
    const { left, at } = this.#known
    const oldestMs = left.oldest ? left.oldest.lateMs + this.#clock.monotonic() - at : 0
    return { orders: left.orders, oldestSeconds: oldestMs / 1_000 }
  }
}
