import type { BenchOrder, Contender, Running } from './contender.ts'
import { insertOrders } from './orders.ts'
import type { Context, Measured } from './question.ts'
import type { Servers } from './servers.ts'

/** How long a worker rests between the last order placed and the first deadline. */
const IDLE_MS = 500
/** The time allowed for placing is this many times what it took before. */
const SLACK = 1.4
const TRIES = 3

/** How long before their deadlines to place orders, in whole milliseconds: what each contender took last time, and some more. */
export class Lead {
  readonly #msPerOrder = new Map<string, number>()
  readonly #guess: number

  /** @param guess milliseconds for an order, before anything is known */
  constructor(guess: number) {
    this.#guess = guess
  }

  msFor(contender: Contender, orders: number): number {
    return Math.ceil(IDLE_MS + orders * (this.#msPerOrder.get(contender.name) ?? this.#guess))
  }

  learn(contender: Contender, orders: number, tookMs: number): void {
    this.#msPerOrder.set(contender.name, (tookMs / orders) * SLACK)
  }
}

/** Orders that are placed, with an idle worker, shortly before their first deadline. */
interface Due {
  orders: BenchOrder[]
  running: Running
}

/**
 * Starts a contender's worker on empty servers, fills in orders and places them, so far ahead that the worker is idle
 * again before the first of them is due, and calls `measure` then.
 */
export async function withOrdersDue<T>(options: {
  contender: Contender
  servers: Servers
  /** As many orders each time, none due before the given instant. */
  makeOrders: (from: number) => BenchOrder[]
  lead: Lead
  measure: (due: Due) => Promise<T>
}): Promise<T> {
  const { contender, servers, makeOrders, lead, measure } = options
  const count = makeOrders(0).length
  for (let attempt = 1; ; attempt++) {
    await servers.reset()
    const running = await contender.start(servers)
    try {
      const startedAt = Date.now()
      const orders = makeOrders(startedAt + lead.msFor(contender, count))
      const first = Math.min(...orders.slice(0, 1).map(({ deadline }) => deadline))
      await insertOrders(servers, orders)
      await contender.place(servers, orders)
      lead.learn(contender, count, Date.now() - startedAt)
      if (Date.now() + IDLE_MS / 2 <= first) return await measure({ orders, running })
      if (attempt === TRIES) throw new Error(`${count} orders could not be placed before they were due`)
    } finally {
      await running.stop()
    }
  }
}

/**
 * Waits until all checks are finished.
 *
 * @param options.until gives up at this instant, in epoch milliseconds
 * @returns when that was seen, and how many are not
 */
export async function untilFinished(options: {
  running: Running
  from: number
  until: number
}): Promise<{ at: number; unfinished: number }> {
  const { running, from, until } = options
  await sleep(from - Date.now())
  for (;;) {
    const unfinished = await running.unfinished()
    const at = Date.now()
    if (unfinished === 0 || at >= until) return { at, unfinished }
    await sleep(LOOK_EVERY_MS)
  }
}

const LOOK_EVERY_MS = 20

/** Puts a question to each contender in turn. One that fails is told of, and has no figures. */
export async function eachContender(
  context: Context,
  measure: (contender: Contender) => Promise<Measured[]>,
): Promise<Measured[]> {
  const measured: Measured[] = []
  for (const contender of context.contenders) {
    context.progress(contender.name)
    try {
      measured.push(...(await measure(contender)))
    } catch (error) {
      context.warn(`${contender.name}: ${(error as Error).message}`)
    }
  }
  return measured
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}
