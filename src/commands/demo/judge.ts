/** For each order: I1 no paid one is cancelled, I2 an unpaid one is in time, I3 once, I4 not before its deadline. */
export type Promised = 'I1' | 'I2' | 'I3' | 'I4'

/** One thing that has happened to an order. Times are epoch milliseconds by the clock of whoever keeps the orders. */
export interface Fact {
  orderId: string
  at: number
  /**
   * - `paying`: a payment holds the order, until it is `paid` or `payment-given-up`.
   * - `payment-lost`: the payment was accepted, but is not on record.
   * - `announced`: an event reports the cancellation.
   */
  what:
    | ('placed' | 'extended' | 'withdrawn' | 'cancelled' | 'announced')
    | ('paying' | 'paid' | 'payment-given-up' | 'payment-lost')
  /** What `placed` and `extended` set it to; of `cancelled`, the one in force if a witness has seen it. */
  deadline?: number | undefined
  /** Of `cancelled`: when it was decided. Default `at`. */
  decidedAt?: number
  /** Of `cancelled`: what the order was just before. Default: as the facts before it say. */
  before?: string
}

/** A promise that an order's facts break; `text` says how, the promise first. */
export interface Breach {
  promise: Promised
  orderId: string
  at: number
  text: string
  /** Of I2: by how much the cancellation came too late; undefined: it never came. */
  lateMs?: number
  /** Of I3: how many events there are too many or too few. */
  surplus?: number
}

interface Bounds {
  /** How long after its deadline an order may be cancelled. Infinity: it may stay unpaid. */
  withinMs: (orderId: string) => number
  /** Before then no time was promised. */
  healthySince: number
  /** When the facts were read. */
  until: number
}

/** The only judge of I1 to I4, for the demo, the fault suite and the simulation, each with its own witness. */
export function judgePromises({ facts, ...bounds }: Bounds & { facts: readonly Fact[] }): Breach[] {
  const orders = new Map<string, Fact[]>()
  for (const fact of facts) {
    const known = orders.get(fact.orderId) ?? []
    orders.set(fact.orderId, known)
    known.push(fact)
  }
  return [...orders].flatMap(([orderId, factsOfOrder]) => judgeOrder(orderId, factsOfOrder, bounds))
}

function judgeOrder(orderId: string, facts: readonly Fact[], { healthySince, until, ...bounds }: Bounds): Breach[] {
  const cancellations = facts.filter(({ what }) => what === 'cancelled')
  const { breaches, state, deadline } = replay(facts)
  const events = facts.filter(({ what }) => what === 'announced')
  const last = facts.at(-1)?.at ?? 0
  const broken = (promise: Promised, text: string, more: Partial<Breach> = {}) =>
    breaches.push({ promise, orderId, at: last, text: `${promise}: ${text}`, ...more })

  if (events.length === facts.length) {
    broken('I3', `an event reports order ${orderId}, which does not exist`, { surplus: events.length })
    return breaches
  }
  const times = cancellations.length
  if (times > 1) broken('I3', `order ${orderId} was cancelled ${times} times`)
  if (events.length !== Math.min(times, 1)) {
    const surplus = Math.abs(events.length - Math.min(times, 1))
    broken('I3', `order ${orderId} was cancelled ${times} times and has ${events.length} events`, { surplus })
  }

  const withinMs = bounds.withinMs(orderId)
  const [cancellation] = cancellations
  const due = cancellation?.deadline ?? deadline ?? 0
  const from = Math.max(healthySince, due)
  const tookMs = Math.round((cancellation?.at ?? until) - from)
  if (cancellation && cancellation.at - from > withinMs) {
    broken('I2', `order ${orderId} was cancelled ${tookMs} ms after it could have been`, { lateMs: tookMs })
  } else if (state === 'unpaid' && due <= until && withinMs < Number.POSITIVE_INFINITY) {
    broken('I2', `order ${orderId} is still unpaid ${tookMs} ms after it could have been cancelled`)
  }
  return breaches
}

/** Goes through the facts of one order. Breaches of I1 and I4 show at once. */
function replay(facts: readonly Fact[]): { breaches: Breach[]; state: string; deadline: number | undefined } {
  const breaches: Breach[] = []
  let state = 'missing'
  let deadline: number | undefined
  for (const { orderId, at, what, ...fact } of facts) {
    const broken = (promise: Promised, text: string) =>
      breaches.push({ promise, orderId, at, text: `${promise}: order ${orderId} ${text}` })
    if (what === 'announced') continue
    if (what === 'cancelled') {
      const before = fact.before ?? state
      if (before !== 'unpaid' && before !== 'cancelled') broken('I1', `was cancelled although it was ${before}`)
      const earlyMs = (fact.deadline ?? deadline ?? Number.POSITIVE_INFINITY) - (fact.decidedAt ?? at)
      if (earlyMs > 0) broken('I4', `was cancelled ${earlyMs} ms before its deadline`)
    } else if (what === 'payment-lost') broken('I1', 'has lost the payment that was accepted')
    else if (state === 'cancelled') broken('I1', `was ${what} although it was cancelled`)
    else deadline = fact.deadline ?? deadline
    state = STATES[what] ?? what
  }
  return { breaches, state, deadline }
}

/** The state of an order after a fact, if it has another name. */
const STATES: { [What in Fact['what']]?: string } = {
  placed: 'unpaid',
  extended: 'unpaid',
  'payment-given-up': 'unpaid',
  'payment-lost': 'paid',
}
