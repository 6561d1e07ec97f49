import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import { DROPPED_AT_ONCE, type Outbox, type OutboxEvent } from '../order/outbox.ts'
import { Batcher } from '../runtime/batcher.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import { backoffMs } from '../runtime/retry.ts'
import type { Service } from '../runtime/service.ts'
import { Cursor } from './cursor.ts'
import { Lines } from './lines.ts'
import { retryDelayMs } from './retry-schedule.ts'
import type { Shares } from './shares.ts'
import type { Delivery, Sink } from './sink.ts'

/** Events of other processes are looked for this often. */
const LOOK_EVERY_MS = 1_000
const RENEW_EVERY_MS = 3_000
const DROP_EVERY_MS = 60_000
/** What is new is read together with what comes within this time. */
const GATHER_MS = 20
const PAGE = 500
/** How long, and how often looked at, events wait for a burst of orders. */
const PATIENCE_MS = 2_000
const BUSY_PAUSE_MS = 50
/** Events known to this process: the undelivered ones of a receiver that is away stay in the outbox. */
const MOST_READY = 1_000
const MOST_KNOWN = 50_000
/** Attempts in a row that fail before a receiver counts as away. */
const AWAY_AFTER = 5
const AWAY = { baseMs: 1_000, capMs: 60_000 }
/** While the store does not take note of what was delivered. */
const NOTE_AGAIN = { baseMs: 250, capMs: 5_000 }

interface RelayOptions {
  outbox: Outbox
  sink: Sink
  /** The names of all sinks. */
  sinks: readonly string[]
  shares: Shares
  /** Types of events that the sink is not to get: they count as delivered. */
  unwanted: ReadonlySet<string>
  /** How long delivered events are kept; 0: they are not. */
  keepMs: number
  /** Whether orders are being settled as fast as possible, for which events wait a little. */
  isBusy?: () => boolean
  events: EventBus
  clock: Clock
  random?: () => number
}

interface Relay extends Service {
  /** There is something new. */
  hurry(): void
}

/** Hands the events of the outbox to a sink: each at least once, and those of one order in their order. */
export function createRelay(options: RelayOptions): Relay {
  const { sink, shares, clock } = options
  const delivery = new Deliveries(options, () => loop.hurry(GATHER_MS))
  const loop = createLoop({ name: `relay ${sink.name}`, step: () => delivery.step(), clock })
  // On its own: whatever else takes long, what is held must be renewed.
  const renewal = createLoop({ name: `shares ${sink.name}`, step: () => delivery.renew(), clock })
  return {
    name: loop.name,
    async start(signal) {
      await renewal.start(signal)
      await loop.start(signal)
    },
    async stop() {
      await loop.stop()
      await delivery.end()
      await renewal.stop()
      await shares.leave()
      await sink.close()
    },
    hurry: () => loop.hurry(GATHER_MS),
  }
}

class Deliveries {
  readonly #options: RelayOptions
  readonly #onRoom: () => void
  readonly #lines = new Lines()
  readonly #notes: Batcher<OutboxEvent, undefined>
  readonly #onTheirWay = new Set<Promise<void>>()
  /** Positions of events that have left since the last reading began: what it reads may be older. */
  readonly #left = new Set<string>()
  readonly #cursor: Cursor
  #dropAt = 0
  #isHandingOver = false
  #busySince: number | undefined
  #failuresInARow = 0
  /** Attempts since it counts as away. */
  #probes = 0
  #awayUntil = 0
  #isGone = false
  #isEnding = false

  constructor(options: RelayOptions, onRoom: () => void) {
    this.#options = options
    this.#onRoom = onRoom
    this.#cursor = new Cursor(options)
    this.#notes = new Batcher({ run: (events) => this.#note(events), maxBatch: 250, maxInFlight: 2 })
  }

  async step(): Promise<number> {
    const { clock } = this.#options
    this.#drop()
    if (this.#isGone) return RENEW_EVERY_MS
    if (this.#mustWait()) return BUSY_PAUSE_MS
    this.#lines.wake(clock.monotonic())
    const isMore = await this.#read().catch((error) => this.#fail(error))
    this.#send()
    return isMore && this.#hasRoom ? 0 : LOOK_EVERY_MS
  }

  #mustWait(): boolean {
    const { isBusy = () => false, clock } = this.#options
    const now = clock.monotonic()
    this.#busySince = isBusy() ? (this.#busySince ?? now) : undefined
    return this.#busySince !== undefined && now - this.#busySince < PATIENCE_MS
  }

  /** Resolves once nothing is on its way. */
  async end(): Promise<void> {
    this.#isEnding = true
    await this.#landed()
  }

  async #landed(): Promise<void> {
    while (this.#onTheirWay.size > 0) await Promise.all(this.#onTheirWay)
  }

  get #hasRoom(): boolean {
    return this.#lines.numReady < MOST_READY && this.#lines.size < MOST_KNOWN
  }

  /** Never rejects. @returns milliseconds until the next time */
  async renew(): Promise<number> {
    const { shares } = this.#options
    const { held, again } = shares
    await shares.renew()
    if (shares.surplus.length > 0 && !this.#isHandingOver) void this.#handOver()
    if (shares.held !== held || (shares.again && shares.again !== again)) this.#readAnew()
    return RENEW_EVERY_MS
  }

  /** Gives back what others are to have, once nothing of it can be on its way. */
  async #handOver(): Promise<void> {
    const { shares } = this.#options
    this.#isHandingOver = true
    await this.#landed()
    await shares.renew(shares.surplus)
    this.#isHandingOver = false
    this.#readAnew()
  }

  #readAnew(): void {
    this.#lines.forgetIdle()
    this.#cursor.reset()
    this.#onRoom()
  }

  /** Those that have been kept for long enough; whoever comes first. */
  #drop(): void {
    const { outbox, keepMs, clock } = this.#options
    if (clock.monotonic() < this.#dropAt) return
    this.#dropAt = clock.monotonic() + DROP_EVERY_MS
    const dropAll = async () => {
      while (!this.#isEnding && (await outbox.dropDelivered(keepMs)) >= DROPPED_AT_ONCE);
    }
    void dropAll().catch((error) => this.#fail(error))
  }

  /** @returns whether there may be more */
  async #read(): Promise<boolean> {
    const { outbox, sink, unwanted, shares, clock } = this.#options
    const { held } = shares
    if (held.length === 0 || !this.#hasRoom || this.#isAway) return false
    this.#left.clear()
    const { events, readTo, isMore } = await outbox.undelivered({
      sink: sink.name,
      after: this.#cursor.next(),
      shares: held,
      limit: PAGE,
    })
    if (shares.held !== held) return true // they may be another's by now
    const skipped = events.filter(({ type }) => unwanted.has(type))
    if (skipped.length > 0) await this.#noteDelivered(skipped)
    this.#lines.add(
      events.filter(({ position, type }) => !unwanted.has(type) && !this.#left.has(position)),
      clock.monotonic(),
    )
    this.#cursor.moveTo(readTo)
    return isMore
  }

  get #isAway(): boolean {
    return this.#options.clock.monotonic() < this.#awayUntil
  }

  #send(): void {
    const { concurrency } = this.#options.sink
    while (!this.#isEnding && !this.#isHandingOver && !this.#isGone && !this.#isAway && !this.#mustWait()) {
      // Of one that is away, one attempt tells whether it is back.
      if (this.#onTheirWay.size >= (this.#failuresInARow >= AWAY_AFTER ? 1 : concurrency)) return
      const event = this.#lines.next()
      if (!event) return
      const sent = this.#deliver(event).finally(() => {
        this.#onTheirWay.delete(sent)
        this.#send()
        if (this.#lines.numReady === 0) this.#onRoom()
      })
      this.#onTheirWay.add(sent)
    }
  }

  async #deliver(event: OutboxEvent): Promise<void> {
    const { sink, events, clock } = this.#options
    const delivery = await sink.deliver(event)
    if (delivery.kind === 'delivered') {
      this.#failuresInARow = 0
      this.#probes = 0
      events.emit('event-delivered', { sink: sink.name, type: event.type, ageMs: clock.now() - event.at })
      await this.#notes.add(event)
      this.#leave(event)
      return
    }
    if (delivery.kind === 'gone') {
      if (!this.#isGone) events.emit('sink-gone', { sink: sink.name, why: delivery.why })
      this.#isGone = true
      return
    }
    await this.#failed(event, delivery)
  }

  async #failed(event: OutboxEvent, { why, isThere, retryAfterMs }: Delivery & { kind: 'failed' }) {
    const { outbox, sink, events, clock, random } = this.#options
    this.#failuresInARow = isThere ? 0 : this.#failuresInARow + 1
    if (this.#failuresInARow >= AWAY_AFTER && !this.#isAway) {
      this.#probes++
      this.#awayUntil = clock.monotonic() + backoffMs({ attempt: this.#probes, ...AWAY, ...(random && { random }) })
    }
    const failures = event.failures + 1
    const retryInMs = retryDelayMs({ failures, retryAfterMs, ...(random && { random }) })
    events.emit('event-failed', {
      sink: sink.name,
      id: event.id,
      type: event.type,
      orderId: event.orderId,
      why,
      retryInMs,
    })
    await this.#untilNoted(() => outbox.failed({ ...event, failures }, { sink: sink.name, retryInMs, why }))
    if (retryInMs === undefined) this.#leave(event)
    else this.#lines.wait(Object.assign(event, { failures }), clock.monotonic() + retryInMs)
  }

  #leave(event: OutboxEvent): void {
    this.#left.add(event.position)
    this.#lines.leave(event, this.#options.clock.monotonic())
  }

  async #note(delivered: readonly OutboxEvent[]): Promise<undefined[]> {
    await this.#untilNoted(() => this.#noteDelivered(delivered))
    return delivered.map(() => undefined)
  }

  #noteDelivered(events: readonly OutboxEvent[]): Promise<void> {
    const { outbox, sink, sinks, keepMs } = this.#options
    return outbox.delivered(events, { sink: sink.name, sinks, keep: keepMs > 0 })
  }

  /** Until the store has taken note, or this process ends: then the events come once more. */
  async #untilNoted(note: () => Promise<void>): Promise<void> {
    const { clock } = this.#options
    for (let attempt = 1; ; attempt++) {
      try {
        return await note()
      } catch (error) {
        this.#fail(error)
        if (this.#isEnding) return
        await clock.sleep(backoffMs({ attempt, ...NOTE_AGAIN }))
      }
    }
  }

  #fail(error: unknown): false {
    const told: OrderExpiryError = asOrderExpiryError(error)
    this.#options.events.emit('relay-failed', { sink: this.#options.sink.name, error: told })
    return false
  }
}
