import type { OutboxEvent } from '../order/outbox.ts'

interface Waiting {
  event: OutboxEvent
  /** By the monotonic clock. */
  until: number
}

/**
 * The undelivered events that a process knows of: a line for each order, of which only the first may be on its way, so that a
 * receiver gets the events of an order in their order. An event that waits for its next attempt holds up its line alone.
 */
export class Lines {
  readonly #lines = new Map<string, OutboxEvent[]>()
  readonly #positions = new Set<string>()
  #ready: OutboxEvent[] = []
  #waiting: Waiting[] = []

  /** How many events are known, on their way or not. */
  get size(): number {
    return this.#positions.size
  }

  /** Events that are not known yet, by position. @param now by the monotonic clock */
  add(events: readonly OutboxEvent[], now: number): void {
    for (const event of events) {
      if (this.#positions.has(event.position)) continue
      this.#positions.add(event.position)
      const line = this.#lines.get(event.orderId)
      if (line) line.push(event)
      else {
        this.#lines.set(event.orderId, [event])
        this.#queue(event, now)
      }
    }
  }

  /** How many of them may go on their way. */
  get numReady(): number {
    return this.#ready.length
  }

  /** The next event that may go on its way, by {@link wake} too. */
  next(): OutboxEvent | undefined {
    return this.#ready.shift()
  }

  /** Those whose time has come may go on their way again. @param now by the monotonic clock */
  wake(now: number): void {
    const due = this.#waiting.filter(({ until }) => until <= now)
    if (due.length === 0) return
    this.#waiting = this.#waiting.filter(({ until }) => until > now)
    this.#ready.push(...due.map(({ event }) => event))
  }

  /** It goes on its way again later. */
  wait(event: OutboxEvent, until: number): void {
    this.#waiting.push({ event, until })
  }

  /** It needs no further attempt. */
  leave(event: OutboxEvent, now: number): void {
    this.#positions.delete(event.position)
    const line = this.#lines.get(event.orderId) ?? []
    line.shift()
    const [first] = line
    if (first) this.#queue(first, now)
    else this.#lines.delete(event.orderId)
  }

  /** Forgets all that are not on their way; a line whose first one is keeps only that. */
  forgetIdle(): void {
    const idle = new Set([...this.#ready, ...this.#waiting.map(({ event }) => event)])
    for (const [orderId, line] of this.#lines) {
      const [first] = line as [OutboxEvent]
      const stays = idle.has(first) ? [] : [first]
      for (const { position } of line.slice(stays.length)) this.#positions.delete(position)
      if (stays.length > 0) this.#lines.set(orderId, stays)
      else this.#lines.delete(orderId)
    }
    this.#ready = []
    this.#waiting = []
  }

  #queue(event: OutboxEvent, now: number): void {
    if (event.waitMs) this.wait(event, now + event.waitMs)
    else this.#ready.push(event)
  }
}
